package session

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"whatsam.io/engine/internal/statements"
)

const (
	// tidyEvery is how often memory is given back, if anything has happened meanwhile; the supervisor does the same as often.
	tidyEvery = 30 * time.Second
	// tidyFirst is how long after a start: its sessions have logged in by then.
	tidyFirst = 8 * time.Second
	// tidyLimit is how long one session's file may keep the others waiting.
	tidyLimit = time.Second
)

// tidyForEver gives memory back that only a start or a burst needed: pages of the sessions' files, the collector's reserve, and parts of the
// program that lie beside what runs.
func tidyForEver(sessions []*session) {
	defer func() {
		if problem := recover(); problem != nil {
			line(fmt.Sprintf("engine: memory is not given back any more: %T", problem))
		}
	}()
	wait := tidyFirst
	for {
		time.Sleep(wait)
		wait = tidyEvery
		if tidy(sessions) {
			debug.FreeOSMemory()
			dropProgram()
		}
	}
}

// tidy takes out of memory what SQLite keeps for sessions in which something has happened, and reports whether there were any.
func tidy(sessions []*session) bool {
	stirred := false
	for _, session := range sessions {
		if session.stirred.Swap(false) && session.database != nil && !session.left.Load() {
			stirred = true
			session.database.shrink()
		}
	}
	return stirred
}

// shrink lets go of pages that can be read again, and of statements that can be compiled again.
func (database *database) shrink() {
	ctx, cancel := context.WithTimeout(context.Background(), tidyLimit)
	defer cancel()
	_ = statements.Forget(ctx, database.handle)
	_, _ = database.handle.ExecContext(ctx, "PRAGMA shrink_memory") // a session that is busy or leaves keeps its pages
}

// dropProgram unmaps the program's own code and constants. What runs is mapped again at its next use, from the page cache; what only a start
// needed, and what the kernel has mapped beside it, stays away.
func dropProgram() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uintptr
		var access string
		text := lines.Text()
		if count, err := fmt.Sscanf(text, "%x-%x %s", &from, &to, &access); err != nil || count != 3 {
			continue
		}
		// Only what was never writable: its pages are those of the file.
		if (access == "r-xp" || access == "r--p") && strings.HasSuffix(text, " "+program) {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
