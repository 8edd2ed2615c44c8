package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	waLog "go.mau.fi/whatsmeow/util/log"
)

func TestTheProgramRunsOnWithoutItsPages(t *testing.T) {
	before := fileBacked(t)
	dropProgram()
	after := fileBacked(t)
	if after >= before {
		t.Fatalf("%d KiB of files in memory, %d before", after, before)
	}
}

// fileBacked is RssFile of this process in KiB.
func fileBacked(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range strings.Split(string(status), "\n") {
		if value, is := strings.CutPrefix(each, "RssFile:"); is {
			kib := 0
			for _, digit := range strings.TrimSuffix(strings.TrimSpace(value), " kB") {
				kib = kib*10 + int(digit-'0')
			}
			return kib
		}
	}
	t.Fatal("no RssFile")
	return 0
}

func TestMemoryIsGivenBackOnceAfterSomethingHasHappened(t *testing.T) {
	opened, err := openDatabase(t.Context(), filepath.Join(t.TempDir(), "session.db"), waLog.Noop)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.close()
	quiet, busy, unopened := &session{database: opened}, &session{database: opened}, &session{}
	busy.stirred.Store(true)
	unopened.stirred.Store(true)
	all := []*session{quiet, busy, unopened}
	if !tidy(all) {
		t.Error("nothing was given back")
	}
	if tidy(all) {
		t.Error("given back twice")
	}
	if _, err = opened.container.GetFirstDevice(t.Context()); err != nil {
		t.Errorf("the file cannot be read any more: %v", err)
	}
}
