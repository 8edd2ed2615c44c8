package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

var roomy = Limits{MostBytes: 1 << 30}

type note struct {
	Number  int64  `json:"number"`
	Content []byte `json:"-"`
}

func (note) Name() string        { return "note" }
func (note note) Blob() []byte   { return note.Content }
func numbered(number int64) note { return note{Number: number, Content: []byte("content")} }

func opened(t *testing.T, folder string, limits Limits) *Writer {
	t.Helper()
	writer, err := Open(folder, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() })
	return writer
}

func appended(t *testing.T, writer *Writer, record Record) Position {
	t.Helper()
	position, err := writer.Append(record)
	if err != nil {
		t.Fatal(err)
	}
	return position
}

// payloads reads a segment as the reader above does: up to the first record that is not whole.
func payloads(t *testing.T, folder string, number int64) (found [][]byte) {
	t.Helper()
	data, err := os.ReadFile(segmentPath(folder, number))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte(Header)) {
		t.Fatalf("segment %d begins with %q", number, data[:min(8, len(data))])
	}
	for data = data[len(Header):]; len(data) >= prefixBytes; {
		length := int(binary.BigEndian.Uint32(data))
		if len(data) < prefixBytes+length {
			return found
		}
		sum := crc32.ChecksumIEEE(append(append([]byte{}, data[:4]...), data[prefixBytes:prefixBytes+length]...))
		if sum != binary.BigEndian.Uint32(data[4:]) {
			return found
		}
		found = append(found, data[prefixBytes:prefixBytes+length])
		data = data[prefixBytes+length:]
	}
	return found
}

func TestRecordsAreFramedAndInOrder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "deep", "journal")
	writer := opened(t, folder, roomy)
	for number := range int64(3) {
		position := appended(t, writer, numbered(number))
		if about, _ := os.Stat(segmentPath(folder, 1)); about.Size() != position.Offset || position.Segment != 1 {
			t.Fatalf("position %v, size %d", position, about.Size())
		}
	}
	for number, payload := range payloads(t, folder, 1) {
		header := fmt.Sprintf(`{"is":"note","number":%d}`, number)
		want := append(append([]byte{1}, binary.BigEndian.AppendUint32(nil, uint32(len(header)))...), header+"content"...)
		if !bytes.Equal(payload, want) {
			t.Errorf("record %d is %q", number, payload)
		}
	}
	for _, path := range []string{folder, segmentPath(folder, 1), filepath.Join(folder, lockName)} {
		if about, _ := os.Stat(path); about.Mode()&0o077 != 0 {
			t.Errorf("%s has mode %v", filepath.Base(path), about.Mode())
		}
	}
}

func TestATornTailIsLeftAlone(t *testing.T) {
	folder := t.TempDir()
	writer := opened(t, folder, roomy)
	appended(t, writer, numbered(1))
	appended(t, writer, numbered(2))
	_ = writer.Close()
	path := segmentPath(folder, 1)
	about, _ := os.Stat(path)
	if err := os.Truncate(path, about.Size()-3); err != nil {
		t.Fatal(err)
	}
	second := opened(t, folder, roomy)
	if position := appended(t, second, numbered(3)); position.Segment != 2 {
		t.Errorf("a segment of another writer was continued: %v", position)
	}
	if len(payloads(t, folder, 1)) != 1 || len(payloads(t, folder, 2)) != 1 {
		t.Error("a whole record is missing, or half of one is taken for whole")
	}
}

func TestNumbersGrowEvenWhenNothingIsLeft(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, acknowledgedName), []byte(`{"segment": 41, "offset": 8}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if position := opened(t, folder, roomy).Position(); position != (Position{42, 8}) {
		t.Errorf("%v", position)
	}
}

func TestADamagedAcknowledgementIsRefused(t *testing.T) {
	for _, content := range []string{"", "{", "[]", `{"segment": 1}`, `{"segment": "a", "offset": 1}`} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, acknowledgedName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if writer, err := Open(folder, roomy); err == nil {
			t.Errorf("%q was taken", content)
			_ = writer.Close()
		}
	}
}

func TestOneWriterAtATime(t *testing.T) {
	folder := t.TempDir()
	writer := opened(t, folder, roomy)
	if _, err := Open(folder, roomy); !errors.Is(err, ErrBusy) {
		t.Fatalf("%v", err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	opened(t, folder, roomy)
	if _, err := writer.Append(numbered(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := writer.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestSegmentsRotate(t *testing.T) {
	folder := t.TempDir()
	writer := opened(t, folder, Limits{MostBytes: 8 * 1000})
	var total int
	for number := range int64(100) {
		position := appended(t, writer, numbered(number))
		if err := writer.Commit(position); err != nil {
			t.Fatal(err)
		}
	}
	numbers, _ := segments(folder)
	for _, number := range numbers {
		about, _ := os.Stat(segmentPath(folder, number))
		if about.Size() > 1000+100 {
			t.Errorf("segment %d has %d bytes", number, about.Size())
		}
		total += len(payloads(t, folder, number))
	}
	if len(numbers) < 4 || total != 100 {
		t.Errorf("%d records in %d segments", total, len(numbers))
	}
}

// TestAFullDiskEndsTheWriter uses the limit on a file's size as a disk that is full: the write ends in the middle of a record.
func TestAFullDiskEndsTheWriter(t *testing.T) {
	folder := t.TempDir()
	writer := opened(t, folder, roomy)
	appended(t, writer, numbered(1))
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	ignoreSizeSignal(t)
	small := unix.Rlimit{Cur: uint64(writer.Position().Offset) + 10, Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	_, err := writer.Append(numbered(2))
	if restored := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); restored != nil {
		t.Fatal(restored)
	}
	if !errors.Is(err, ErrFailed) {
		t.Fatalf("%v", err)
	}
	if _, err = writer.Append(numbered(3)); !errors.Is(err, ErrFailed) {
		t.Errorf("a record behind half a record would never be read: %v", err)
	}
	if len(payloads(t, folder, 1)) != 1 {
		t.Error("half a record is taken for whole")
	}
	_ = writer.Close()
	if position := appended(t, opened(t, folder, roomy), numbered(4)); position.Segment != 2 {
		t.Errorf("%v", position)
	}
}

func TestRoom(t *testing.T) {
	folder := t.TempDir()
	writer := opened(t, folder, Limits{MostBytes: 1000})
	for writer.Room() == Take {
		appended(t, writer, numbered(1))
		if writer.Position().Segment > 100 {
			t.Fatal("it never fills")
		}
	}
	if why := writer.Room(); why != TooBig {
		t.Errorf("%v", why)
	}
	place := writer.Position()
	told := fmt.Sprintf(`{"segment": %d, "offset": %d}`, place.Segment, place.Offset)
	if err := os.WriteFile(filepath.Join(folder, acknowledgedName), []byte(told), 0o600); err != nil {
		t.Fatal(err)
	}
	if why := writer.Room(); why != Take {
		t.Errorf("what was acknowledged still counts: %v", why)
	}
	if why := opened(t, t.TempDir(), Limits{MostBytes: 1000, LeastFreeBytes: 1 << 60}).Room(); why != NoDisk {
		t.Errorf("%v", why)
	}
}

func TestCommitsFromManySidesAtOnce(t *testing.T) {
	folder := t.TempDir()
	writer := opened(t, folder, Limits{MostBytes: 8 * 2000})
	var all sync.WaitGroup
	for side := range int64(8) {
		all.Go(func() {
			for number := range int64(50) {
				position, err := writer.Append(numbered(side*100 + number))
				if err == nil {
					err = writer.Commit(position)
				}
				if err != nil {
					t.Error(err)
				}
				writer.committing.Lock()
				synced := writer.synced
				writer.committing.Unlock()
				if before(synced, position) {
					t.Errorf("%v is told to be on disk, only %v is", position, synced)
				}
			}
		})
	}
	all.Wait()
	numbers, _ := segments(folder)
	total := 0
	for _, number := range numbers {
		total += len(payloads(t, folder, number))
	}
	if total != 8*50 {
		t.Errorf("%d records", total)
	}
}
