package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// SegmentBytes is the size above which a segment is closed: acknowledged space comes back in pieces of this size.
const SegmentBytes = 4 << 20

var (
	// ErrBusy says that another process still writes this journal: the engine before this one is not dead.
	ErrBusy = errors.New("another process writes this journal")
	// ErrClosed says that the session has left this process: another one may write this journal by now.
	ErrClosed = errors.New("the journal was closed")
	// ErrTooLarge says that a record is none for any reader; nothing was written, and the writer goes on.
	ErrTooLarge = errors.New("a record above the limit")
	// ErrFailed says that the disk did not take a record. The writer is useless from then on, and the engine has to stop.
	ErrFailed = errors.New("journal")
)

// Writer is the one writer of a journal. Its methods may be called from any goroutine.
//
// When Append has returned, the record survives the death of the process (the kernel has it). When Commit has returned for its position, it
// survives a power cut. Commits that come while one is under way wait for the next one and share it (group commit).
type Writer struct {
	folder       string
	limits       Limits
	segmentBytes int64
	lock         *os.File

	// appending is held while the file or the position changes, committing while the file is synced. appending is taken first.
	appending  sync.Mutex
	committing sync.Mutex
	file       *os.File
	position   Position
	synced     Position
	waiting    int64
	broken     bool
	closed     bool
}

// Open creates the folder if needed, takes the lock, and opens a segment of its own. It fails with ErrBusy while another writer lives, and
// with ErrFailed when the disk refuses.
func Open(folder string, limits Limits) (*Writer, error) {
	if err := makeFolder(folder); err != nil {
		return nil, failed(err)
	}
	lock, err := os.OpenFile(filepath.Join(folder, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, failed(err)
	}
	writer, err := open(folder, limits, lock)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return writer, nil
}

func open(folder string, limits Limits, lock *os.File) (*Writer, error) {
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, failed(err)
	}
	numbers, err := segments(folder)
	if err != nil {
		return nil, failed(err)
	}
	done, err := acknowledged(folder)
	if err != nil {
		return nil, err
	}
	number := done.Segment
	if len(numbers) > 0 {
		number = max(number, numbers[len(numbers)-1])
	}
	number++
	file, err := createSegment(folder, number)
	if err != nil {
		return nil, failed(err)
	}
	writer := &Writer{
		folder: folder, limits: limits, lock: lock, file: file,
		segmentBytes: min(SegmentBytes, max(limits.MostBytes/8, 1)),
		position:     Position{number, int64(len(Header))},
	}
	writer.waiting, _ = unacknowledged(folder)
	return writer, nil
}

// Position is the place behind the newest record.
func (writer *Writer) Position() Position {
	writer.appending.Lock()
	defer writer.appending.Unlock()
	return writer.position
}

// Append writes one record and returns the place behind it. After ErrFailed nothing can be appended any more.
func (writer *Writer) Append(record Record) (Position, error) {
	payload, err := Payload(record)
	if err != nil {
		return Position{}, err
	}
	framed, err := pack(payload)
	if err != nil {
		return Position{}, err
	}
	writer.appending.Lock()
	defer writer.appending.Unlock()
	if writer.closed {
		return Position{}, ErrClosed
	}
	if writer.broken {
		return Position{}, fmt.Errorf("%w: it failed before", ErrFailed)
	}
	if writer.position.Offset >= writer.segmentBytes {
		if err = writer.rotate(); err != nil {
			writer.broken = true
			return Position{}, failed(err)
		}
	}
	if err = writeFile(writer.file, framed); err != nil {
		// What is in the file now may be half a record: anything behind it would never be read.
		writer.broken = true
		return Position{}, failed(err)
	}
	writer.position.Offset += int64(len(framed))
	writer.waiting += int64(len(framed))
	return writer.position, nil
}

// Commit waits until everything up to position survives a power cut.
func (writer *Writer) Commit(position Position) error {
	writer.committing.Lock()
	defer writer.committing.Unlock()
	if !before(writer.synced, position) {
		return nil // somebody else's commit covered it
	}
	_, err := writer.sync()
	return err
}

// Sync commits everything that was appended before the call and returns the place behind it.
func (writer *Writer) Sync() (Position, error) {
	writer.committing.Lock()
	defer writer.committing.Unlock()
	return writer.sync()
}

// sync is called with committing held, so that the file stays what it is: rotate and Close take that lock too.
func (writer *Writer) sync() (Position, error) {
	writer.appending.Lock()
	file, position, closed, broken := writer.file, writer.position, writer.closed, writer.broken
	writer.appending.Unlock()
	switch {
	case broken:
		// The kernel tells of a failed sync once: the next one may succeed although the data is gone.
		return Position{}, fmt.Errorf("%w: it failed before", ErrFailed)
	case closed || !before(writer.synced, position):
		return position, nil
	}
	if err := syncFile(file); err != nil {
		writer.appending.Lock()
		writer.broken = true
		writer.appending.Unlock()
		return Position{}, failed(err)
	}
	writer.synced = position
	return position, nil
}

// Room says whether more may come. The folder is looked at only when the limit seems to be reached.
func (writer *Writer) Room() Room {
	writer.appending.Lock()
	defer writer.appending.Unlock()
	if writer.waiting > writer.limits.MostBytes {
		// The reader does not tell us what it has done meanwhile.
		if waiting, err := unacknowledged(writer.folder); err == nil {
			writer.waiting = waiting
		}
	}
	free, err := freeBytes(writer.folder)
	if err != nil {
		free = writer.limits.LeastFreeBytes
	}
	return room(writer.waiting, free, writer.limits)
}

// Close syncs, closes the files and gives the lock back. From here on Append refuses.
func (writer *Writer) Close() error {
	_, err := writer.Sync()
	writer.committing.Lock()
	defer writer.committing.Unlock()
	writer.appending.Lock()
	defer writer.appending.Unlock()
	if writer.closed {
		return nil
	}
	writer.closed = true
	if err == nil && before(writer.synced, writer.position) {
		err = writer.syncLast()
	}
	_ = writer.file.Close()
	_ = writer.lock.Close()
	return err
}

func (writer *Writer) syncLast() error {
	if err := syncFile(writer.file); err != nil {
		writer.broken = true
		return failed(err)
	}
	writer.synced = writer.position
	return nil
}

// rotate begins the next segment. The old one is synced first: positions in the new one say that it was.
func (writer *Writer) rotate() error {
	if err := syncFile(writer.file); err != nil {
		return err
	}
	number := writer.position.Segment + 1
	fresh, err := createSegment(writer.folder, number)
	if err != nil {
		return err
	}
	// A commit that is under way may still sync the old file: it is closed by whoever is last, never under a running call.
	retired := writer.file
	writer.file = fresh
	writer.position = Position{number, int64(len(Header))}
	go func() {
		writer.committing.Lock()
		defer writer.committing.Unlock()
		_ = retired.Close()
	}()
	return nil
}

// makeFolder creates the journal's folder if needed, in a way that survives a power cut.
func makeFolder(folder string) error {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(folder))
}

func createSegment(folder string, number int64) (*os.File, error) {
	path := segmentPath(folder, number)
	file, err := createFile(path)
	if err != nil {
		return nil, err
	}
	if err = writeFile(file, []byte(Header)); err == nil {
		err = syncFile(file)
	}
	if err == nil {
		err = syncFolder(folder)
	}
	if err != nil {
		_ = file.Close()
		_ = os.Remove(path) // nothing is in it: a full disk shall not fill with the beginnings of journals
		return nil, err
	}
	return file, nil
}

func before(one, other Position) bool {
	return one.Segment < other.Segment || one.Segment == other.Segment && one.Offset < other.Offset
}

// failed names the cause without the path.
func failed(err error) error {
	var named *os.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	return fmt.Errorf("%w: %w", ErrFailed, err)
}
