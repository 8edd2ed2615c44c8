package host

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"whatsam.io/engine/internal/protocol"
)

// lastWords is how long the last frames may take to reach the supervisor before the process goes without.
const lastWords = time.Second

// Ending is the one way out of an engine process: it says its last words and is gone, whatever still runs.
type Ending struct {
	once  sync.Once
	flush func(time.Duration)
	exit  func(int)
}

// NewEnding returns the way out of this process.
func NewEnding() *Ending { return &Ending{exit: os.Exit} }

// End ends the process. Whichever goroutine comes first decides; it never returns.
func (ending *Ending) End(code protocol.ExitCode, reason string) {
	ending.once.Do(func() {
		if reason != "" {
			fmt.Fprintf(os.Stderr, "engine: %s\n", strings.ReplaceAll(reason, "\n", " "))
		}
		if ending.flush != nil {
			ending.flush(lastWords)
		}
		ending.exit(int(code))
	})
	select {}
}
