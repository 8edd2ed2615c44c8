// Package journal writes what WhatsApp says into a session's journal, a folder in the format of connector/whatsam_connector/journal/layout.py.
//
//   - `<segment number, 12 digits>.segment`: an 8-byte header, then records: 4-byte big-endian length of the payload, 4-byte CRC-32 over length
//     and payload, payload. A writer never continues a segment that it did not create, so a tail that a crash has torn stays at a file's end.
//   - `acknowledged`: JSON with the position behind the last record that the reader is done with. Only read here.
//   - `lock`: held by the one writer.
//
// Package session appends, and package host opens, closes and hears of what was committed.
package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// Header is the magic and version of a segment file.
const Header = "WSJRNL\x00\x02"

// MostPayloadBytes is the size above which a payload is no record.
const MostPayloadBytes = 32 << 20

const (
	acknowledgedName = "acknowledged"
	lockName         = "lock"
	prefixBytes      = 8
)

var segmentName = regexp.MustCompile(`^(\d{12})\.segment$`)

// Position is a place between two records: number of the segment, byte offset in it.
type Position struct {
	Segment int64 `json:"segment"`
	Offset  int64 `json:"offset"`
}

// pack frames one payload.
func pack(payload []byte) ([]byte, error) {
	if len(payload) > MostPayloadBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(payload))
	}
	framed := make([]byte, prefixBytes, prefixBytes+len(payload))
	binary.BigEndian.PutUint32(framed, uint32(len(payload)))
	// The length takes part: a run of zero bytes, which file systems leave after a power cut, is then no valid record.
	sum := crc32.Update(crc32.ChecksumIEEE(framed[:4]), crc32.IEEETable, payload)
	binary.BigEndian.PutUint32(framed[4:], sum)
	return append(framed, payload...), nil
}

func segmentPath(folder string, number int64) string {
	return filepath.Join(folder, fmt.Sprintf("%012d.segment", number))
}

// segments are the numbers of the segments that exist, ascending.
func segments(folder string) ([]int64, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var numbers []int64
	for _, entry := range entries {
		if match := segmentName.FindStringSubmatch(entry.Name()); match != nil {
			number, err := strconv.ParseInt(match[1], 10, 64)
			if err == nil {
				numbers = append(numbers, number)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
