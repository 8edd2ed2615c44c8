package journal

import (
	"encoding/binary"

	"whatsam.io/engine/internal/wire"
)

// Record is something that the journal keeps: a struct with json tags in the order of the fields of
// connector/whatsam_connector/journal/records.py, whose field of bytes (if any) is tagged "-".
type Record interface {
	// Name is the name of the Python class, which is also the name of the struct.
	Name() string
	// Blob is the content of the field of bytes; nil for a record that has none.
	Blob() []byte
}

const binaryPayload = 1

// Payload is the bytes of a record for the journal: one byte 1, a 4-byte big-endian length, a JSON object of that length, and the blob.
func Payload(record Record) ([]byte, error) {
	blob := record.Blob()
	payload := make([]byte, 5, 5+512+len(blob))
	payload, err := wire.Append(payload, record)
	if err != nil {
		return nil, err
	}
	payload[0] = binaryPayload
	binary.BigEndian.PutUint32(payload[1:5], uint32(len(payload)-5))
	return append(payload, blob...), nil
}
