package inbound

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"whatsam.io/engine/internal/wire"
)

// identify is the id of an event: a hash of what tells it from every other event of the session. The same stanza has the same id whenever
// WhatsApp delivers it, so the inbox drops what an engine that was killed has journalled already.
func identify(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		// The length takes part: no two lists of parts are the same bytes.
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write([]byte(part))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// identifyContent is the id of an event that WhatsApp gives none: a hash of all that the record says, its own id still empty, and of more.
func identifyContent(record any, more ...string) string {
	content, err := wire.Append(nil, record)
	if err != nil {
		panic(err) // a record that cannot be written: Record keeps the event as it came
	}
	return identify(append([]string{string(content)}, more...)...)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return string(sum[:])
}

func number(value int64) string { return strconv.FormatInt(value, 10) }

func truth(value bool) string { return strconv.FormatBool(value) }

var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// moment is a time that Python has a word for. WhatsApp's are whole seconds; nobody checks what a phone puts into a message that it hands over.
func moment(at time.Time) time.Time {
	at = at.UTC().Truncate(time.Millisecond)
	switch {
	case at.Before(earliest):
		return earliest
	case at.After(latest):
		return latest
	}
	return at
}
