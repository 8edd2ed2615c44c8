package calls

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/methods.json anew")

// The Python side compares the same file with engine/methods.py: tests/unit/connector_engine/test_engine_go_methods.py.
func TestMethodsAreThoseOfTheFile(t *testing.T) {
	changes := make(map[string]bool, len(methods))
	for name, known := range methods {
		changes[name] = known.changes
	}
	made, err := json.MarshalIndent(changes, "", "  ")
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

func TestSupported(t *testing.T) {
	if !Supported("archive") || Supported("levitate") || Supported("") {
		t.Error("Supported does not know its methods")
	}
}
