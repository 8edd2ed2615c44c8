package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Room says what to do with a session's inbound. Its text is told to the supervisor.
type Room string

// The three cases; see connector/whatsam_connector/journal/room.py.
const (
	Take   Room = "take"
	TooBig Room = "the journal is full"
	NoDisk Room = "the disk is nearly full"
)

// Limits are how far a journal may grow.
type Limits struct {
	// MostBytes counts what the reader has not acknowledged.
	MostBytes int64
	// LeastFreeBytes is left for others on the journal's disk.
	LeastFreeBytes int64
}

// room decides for a session that runs; the supervisor decides before it starts one.
func room(waiting, free int64, limits Limits) Room {
	switch {
	case waiting > limits.MostBytes:
		return TooBig
	case free < limits.LeastFreeBytes:
		return NoDisk
	}
	return Take
}

// acknowledged is the position behind the last record that the reader is done with; the beginning when there is none. A damaged file is an
// error: replacing is atomic, so a crash cannot do that, and guessing would number new segments below old ones.
func acknowledged(folder string) (Position, error) {
	content, err := os.ReadFile(filepath.Join(folder, acknowledgedName))
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, err
	}
	var told struct{ Segment, Offset *int64 }
	if err = json.Unmarshal(content, &told); err != nil || told.Segment == nil || told.Offset == nil {
		return Position{}, fmt.Errorf("%s of the journal is damaged; move the journal's folder away", acknowledgedName)
	}
	return Position{*told.Segment, *told.Offset}, nil
}

// unacknowledged is the size of what the reader has not acknowledged.
func unacknowledged(folder string) (int64, error) {
	done, err := acknowledged(folder)
	if err != nil {
		return 0, err
	}
	numbers, err := segments(folder)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, number := range numbers {
		if number < done.Segment {
			continue
		}
		about, err := os.Stat(segmentPath(folder, number))
		if err != nil {
			continue // acknowledged and deleted in this moment
		}
		total += about.Size()
		if number == done.Segment {
			total -= done.Offset
		}
	}
	return max(total, 0), nil
}
