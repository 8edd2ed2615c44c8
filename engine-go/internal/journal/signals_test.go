package journal

import (
	"os/signal"
	"syscall"
	"testing"
)

// ignoreSizeSignal keeps a write above the limit on a file's size from ending the process: it fails with EFBIG then.
func ignoreSizeSignal(t *testing.T) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	t.Cleanup(func() { signal.Reset(syscall.SIGXFSZ) })
}
