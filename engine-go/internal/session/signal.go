package session

import (
	"strings"

	"go.mau.fi/libsignal/logger"
)

// signalLog takes the lines of the library of keys, which has one log for the process. Its own prints to the standard output, waits for whoever
// reads that, and is made by the first two sessions at the same time.
type signalLog struct{}

func init() {
	var log logger.Loggable = signalLog{}
	logger.Setup(&log)
}

func (signalLog) Debug(_, _ string) {}

func (signalLog) Info(_, _ string) {}

func (signalLog) Warning(caller, message string) { say("WARN", caller, message) }

func (signalLog) Error(caller, message string) { say("ERROR", caller, message) }

func (signalLog) Configure(_ string) {}

func say(level, caller, message string) {
	text, _, _ := strings.Cut(redact(message), "\n")
	line("libsignal " + caller + " " + level + " " + text)
}
