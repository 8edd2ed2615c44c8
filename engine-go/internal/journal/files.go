package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// Everything that the journal asks of a disk, apart from looking, is in this file: a build for tests puts another one in its place, whose disk
// is slow, full, broken, or loses power (simulator/whatsam_simulator/hook/journal_files.go).

// createFile creates a file of this name, to be written at its end.
func createFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

// writeFile hands data to the kernel. After an error some of it may be in the file.
func writeFile(file *os.File, data []byte) error {
	_, err := file.Write(data)
	return err
}

// syncFile makes what is in a file, and its length, survive a power cut.
func syncFile(file *os.File) error { return unix.Fdatasync(int(file.Fd())) }

// syncFolder makes names in a folder survive a power cut: a new file does only after this.
func syncFolder(folder string) error {
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }()
	return opened.Sync()
}

// freeBytes is the space on the disk of folder that this user may take.
func freeBytes(folder string) (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(folder, &disk); err != nil {
		return 0, err
	}
	return int64(disk.Bavail) * disk.Frsize, nil
}
