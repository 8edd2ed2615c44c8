package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"whatsam.io/engine/internal/wire"
)

// MostFrameBytes is larger than any message text and key; a length above it is garbage.
const MostFrameBytes = 32 << 20

// ErrGarbage is wrapped by the errors of Read that say that the peer speaks something else.
var ErrGarbage = errors.New("garbage on the socket")

var forEngine = wire.NewDecoder(Start{}, Arm{}, Ping{}, Send{}, Call{}, Cancel{}, Disconnect{}, Logout{}, Stop{})

// Frame encodes a message with its length.
func Frame(message ToParent) ([]byte, error) {
	framed, err := wire.Append(make([]byte, 4, 512), message)
	if err != nil {
		return nil, err
	}
	if len(framed)-4 > MostFrameBytes {
		return nil, fmt.Errorf("message of %d bytes exceeds the limit of %d", len(framed)-4, MostFrameBytes)
	}
	binary.BigEndian.PutUint32(framed, uint32(len(framed)-4))
	return framed, nil
}

// Read reads one message of the supervisor. Errors that wrap ErrGarbage mean a broken peer, any other a closed socket.
func Read(source io.Reader) (ToEngine, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(source, prefix[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(prefix[:])
	if length < 2 || length > MostFrameBytes {
		return nil, fmt.Errorf("%w: a frame of %d bytes is not one of ours", ErrGarbage, length)
	}
	// Grown while it arrives: a length alone must not cost memory.
	body, err := io.ReadAll(io.LimitReader(source, int64(length)))
	if err != nil {
		return nil, err
	}
	if len(body) < int(length) {
		return nil, io.ErrUnexpectedEOF
	}
	return Decode(body)
}

// Decode parses one message of the supervisor.
func Decode(body []byte) (ToEngine, error) {
	message, err := forEngine.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	return message.(ToEngine), nil
}
