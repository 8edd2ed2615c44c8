// Test hook: makes an engine that was built with this file trust the simulator's Noise root key.
//
// It is no part of engine-go: a build for tests adds it to the main package with `go build -overlay`. Without WHATSAM_SIMULATOR_ROOT (64 hex
// digits) it does nothing; with it, the 32 bytes of the root key that whatsmeow pins are replaced in memory before anything connects.
package main

import (
	"encoding/hex"
	"fmt"
	"os"

	"go.mau.fi/whatsmeow"
)

func init() {
	digits, asked := os.LookupEnv("WHATSAM_SIMULATOR_ROOT")
	if !asked || digits == "" {
		return
	}
	key, err := hex.DecodeString(digits)
	if err != nil || len(key) != len(whatsmeow.WACertPubKey) {
		fmt.Fprintln(os.Stderr, "engine: WHATSAM_SIMULATOR_ROOT must be 64 hex digits")
		os.Exit(70)
	}
	copy(whatsmeow.WACertPubKey[:], key)
}
