// Command whatsam-engine runs WhatsApp sessions for a Whatsam worker, which starts it and speaks the engine protocol with it over a unix socket.
//
// The order is what makes it safe: the kernel timer is armed first, then the process binds its life to its parent's, then it opens the socket;
// WhatsApp and the databases come last.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"whatsam.io/engine/internal/fence"
	"whatsam.io/engine/internal/host"
	"whatsam.io/engine/internal/journal"
	"whatsam.io/engine/internal/protocol"
	"whatsam.io/engine/internal/session"
)

const (
	program = "1.0.0"
	library = "go.mau.fi/whatsmeow"
)

func init() {
	// The signal at the parent's death hangs on the thread that asks for it: main stays on the first one, which lives as long as the process.
	runtime.LockOSThread()
}

type arguments struct {
	socket   string
	deadline float64
	parent   int
	sync     journal.Policy
	version  bool
}

func parse(words []string) (arguments, error) {
	var given arguments
	var sync string
	flags := flag.NewFlagSet("whatsam-engine", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&given.socket, "socket", "", "unix socket on which the supervisor listens")
	flags.Float64Var(&given.deadline, "deadline", 0, "hard fence, seconds of CLOCK_BOOTTIME")
	flags.IntVar(&given.parent, "parent", 0, "process id of the supervisor")
	flags.StringVar(&sync, "journal-sync", string(journal.Always), "when a record counts as kept: always (on disk) or os (handed to the kernel)")
	flags.BoolVar(&given.version, "version", false, "print the version and end")
	if err := flags.Parse(words); err != nil {
		return given, err
	}
	given.sync = journal.Policy(sync)
	switch {
	case given.version:
	case flags.NArg() > 0:
		return given, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case given.socket == "" || given.deadline == 0 || given.parent == 0:
		return given, fmt.Errorf("-socket, -deadline and -parent are needed")
	case given.sync != journal.Always && given.sync != journal.System:
		return given, fmt.Errorf("-journal-sync is %q or %q", journal.Always, journal.System)
	}
	return given, nil
}

// version is the program's own with the commit of the library behind it.
func version() string {
	built, _ := debug.ReadBuildInfo()
	if built == nil {
		return program
	}
	for _, module := range built.Deps {
		if module.Path == library {
			parts := strings.Split(module.Version, "-")
			return program + "+" + parts[len(parts)-1]
		}
	}
	return program
}

func main() {
	ending := host.NewEnding()
	given, err := parse(os.Args[1:])
	if err != nil {
		ending.End(protocol.BadArguments, err.Error())
	}
	if given.version {
		fmt.Println(version())
		return
	}
	timer, err := fence.New()
	if err == nil {
		err = timer.Arm(given.deadline)
	}
	if err != nil {
		ending.End(protocol.FenceNotArmed, err.Error())
	}
	lives, err := fence.DieWithParent(given.parent)
	if err != nil {
		ending.End(protocol.EngineFailed, err.Error())
	}
	if !lives {
		ending.End(protocol.ParentGone, "the supervisor is gone")
	}
	syscall.Umask(0o077) // keys and messages are written from here on
	socket, err := net.Dial("unix", given.socket)
	if err != nil {
		ending.End(protocol.ParentGone, "the supervisor's socket cannot be opened")
	}
	serve := host.New(host.Settings{
		Link:    host.NewLink(socket, ending),
		Fence:   timer,
		Ending:  ending,
		Engine:  session.NewEngine(),
		Sync:    given.sync,
		Journal: journal.Open,
		Hello: protocol.Hello{
			Version: protocol.Version, Engine: "whatsmeow", EngineVersion: version(), PID: os.Getpid(), Deadline: given.deadline,
			Capabilities: protocol.Capabilities{OwnMessageIDs: true, AckAfterPersist: true, Passkey: true},
		},
	}).Serve
	go serve() // not on the first thread: every switch to a goroutine that is tied to one costs two switches of threads
	select {}
}
