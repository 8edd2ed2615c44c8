// Test hook: the journal's files on a disk that is slow, full or broken, and that tells what a power cut would leave.
//
// It is no part of engine-go: a build for tests puts it in the place of engine-go/internal/journal/files.go with `go build -overlay`. Without
// WHATSAM_FAULTY_FILES it does what that file does; with it (a JSON object, see faults), as it is told.
package journal

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// faults is what is wrong with the disk. Numbers count over all journals of the process, from 1; 0 is never.
type faults struct {
	// WriteMilliseconds is waited before and after each write, SyncMilliseconds before each sync, from sync number SlowFrom on.
	WriteMilliseconds, SyncMilliseconds int
	SlowFrom                            int64
	// Room is how many bytes can be written until the disk is full; nil: as many as the real one takes.
	Room *int64
	// FailSyncs is the number of the first sync that fails; FailedSyncs is how many do.
	FailSyncs, FailedSyncs int64
	// PanicAtWrite is the number of the write that panics.
	PanicAtWrite int64
	// TellSynced writes beside each segment, as 20 digits in `<segment>.synced`, how much of it a power cut would leave. A segment without
	// that file would be gone.
	TellSynced bool
}

var disk struct {
	sync.Mutex
	faults
	writes, syncs int64
}

func init() {
	told := os.Getenv("WHATSAM_FAULTY_FILES")
	if told == "" {
		return
	}
	if err := json.Unmarshal([]byte(told), &disk.faults); err != nil {
		fmt.Fprintln(os.Stderr, "engine: WHATSAM_FAULTY_FILES must be a JSON object")
		os.Exit(70)
	}
}

func createFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

func writeFile(file *os.File, data []byte) error {
	pause(disk.WriteMilliseconds)
	taken, err := admit(len(data))
	if _, failed := file.Write(data[:taken]); failed != nil {
		return failed
	}
	pause(disk.WriteMilliseconds)
	return err
}

// admit says how much of a write there is room for.
func admit(wanted int) (int, error) {
	disk.Lock()
	defer disk.Unlock()
	disk.writes++
	if disk.writes == disk.PanicAtWrite {
		panic("a test asked for it")
	}
	if disk.Room == nil {
		return wanted, nil
	}
	taken := min(int64(wanted), *disk.Room)
	*disk.Room -= taken
	if taken < int64(wanted) {
		return int(taken), unix.ENOSPC
	}
	return wanted, nil
}

func syncFile(file *os.File) error {
	about, err := file.Stat() // what is written while the sync runs may not be covered
	if err != nil {
		return err
	}
	disk.Lock()
	disk.syncs++
	slow := disk.syncs >= disk.SlowFrom
	fails := disk.FailSyncs > 0 && disk.syncs >= disk.FailSyncs && disk.syncs < disk.FailSyncs+disk.FailedSyncs
	disk.Unlock()
	if slow {
		pause(disk.SyncMilliseconds)
	}
	if fails {
		return unix.EIO
	}
	if err = unix.Fdatasync(int(file.Fd())); err != nil || !disk.TellSynced {
		return err
	}
	told, err := os.OpenFile(file.Name()+".synced", os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = told.Close() }()
	_, err = told.WriteAt(fmt.Appendf(nil, "%020d", about.Size()), 0)
	return err
}

func syncFolder(folder string) error {
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }()
	return opened.Sync()
}

func freeBytes(folder string) (int64, error) {
	disk.Lock()
	defer disk.Unlock()
	if disk.Room != nil {
		return *disk.Room, nil
	}
	var real unix.Statfs_t
	if err := unix.Statfs(folder, &real); err != nil {
		return 0, err
	}
	return int64(real.Bavail) * real.Frsize, nil
}

func pause(milliseconds int) {
	if milliseconds > 0 {
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	}
}
