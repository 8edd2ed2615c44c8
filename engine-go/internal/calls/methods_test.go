package calls

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"whatsam.io/engine/internal/protocol"
)

var update = flag.Bool("update", false, "write testdata/methods.json anew")

var lanes = map[protocol.Lane]string{protocol.Messages: "messages", protocol.Lookups: "lookups", protocol.Media: "media"}

type written struct {
	Lane    string  `json:"lane"`
	Seconds float64 `json:"seconds"`
	Changes bool    `json:"changes"`
	Pairing bool    `json:"pairing"`
}

// The Python side compares the same file with engine/methods.py: tests/unit/connector_engine/test_engine_go_methods.py.
func TestMethodsAreThoseOfTheFile(t *testing.T) {
	table := make(map[string]written, len(protocol.Methods))
	for name, known := range protocol.Methods {
		table[name] = written{lanes[known.Lane], known.Limit.Seconds(), known.Changes, known.Pairing}
	}
	made, err := json.MarshalIndent(table, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile("testdata/methods.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile("testdata/methods.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, kept) {
		t.Errorf("testdata/methods.json differs: run go test ./internal/calls -run TestMethods -update")
	}
}

func TestEachMethodIsSupported(t *testing.T) {
	for name, known := range protocol.Methods {
		if Supported(name) == known.Pairing { // those are the session's own
			t.Errorf("%s is missing, or in the wrong place", name)
		}
	}
	for name := range methods {
		if _, ok := protocol.Methods[name]; !ok {
			t.Errorf("nobody knows %s", name)
		}
	}
	if Supported("levitate") || Supported("") {
		t.Error("Supported does not know its methods")
	}
}
