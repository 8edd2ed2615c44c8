package main

import (
	"strings"
	"testing"

	"whatsam.io/engine/internal/journal"
)

func TestArguments(t *testing.T) {
	given, err := parse(strings.Fields("--socket /s --deadline 12.5 --parent 7 --journal-sync os"))
	if err != nil || given != (arguments{socket: "/s", deadline: 12.5, parent: 7, sync: journal.System}) {
		t.Errorf("%v, %v", given, err)
	}
	if given, err = parse(strings.Fields("-socket /s -deadline 1 -parent 7")); err != nil || given.sync != journal.Always {
		t.Errorf("%v, %v", given, err)
	}
	if given, err = parse([]string{"--version"}); err != nil || !given.version {
		t.Errorf("%v, %v", given, err)
	}
	for _, wrong := range []string{
		"", "--socket /s", "--socket /s --deadline x --parent 7", "--socket /s --deadline 1 --parent 7 more",
		"--socket /s --deadline 1 --parent 7 --journal-sync never", "--help", "--socket /s --deadline 1 --parent 7 --other",
	} {
		if _, err = parse(strings.Fields(wrong)); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func TestVersion(t *testing.T) {
	if !strings.HasPrefix(version(), program) {
		t.Error(version())
	}
}
