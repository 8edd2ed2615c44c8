package session

import (
	"bytes"
	"testing"

	"go.mau.fi/whatsmeow/types"

	"whatsam.io/engine/internal/host"
	"whatsam.io/engine/internal/protocol"
)

// asking is a pairing whose phone was scanned; ended hears how its process would end.
func asking(t *testing.T, options *types.WebAuthnPublicKey) (heard *told, ended *protocol.ExitCode) {
	t.Helper()
	made, heard, _ := paired(t, 1<<20)
	ended = new(protocol.ExitCode)
	made.tools = host.Tools{Emit: heard.emit, End: func(code protocol.ExitCode, _ string) { *ended = code }}
	made.pair()
	made.pairing.passkeyAsked(options)
	made.pairing.mutex.Lock()
	defer made.pairing.mutex.Unlock()
	made.pairing.passkey.stop()
	return heard, ended
}

func TestARequestThatNobodyCouldShowEndsThePairing(t *testing.T) {
	huge := make([]types.AllowedCredential, 64)
	for place := range huge {
		huge[place].ID = bytes.Repeat([]byte{1}, 1023)
	}
	heard, ended := asking(t, &types.WebAuthnPublicKey{AllowCredentials: huge})
	if *ended != protocol.PairingFailed || len(heard.events) != 1 {
		t.Errorf("%d: %v", *ended, heard.events)
	}
	heard, ended = asking(t, &types.WebAuthnPublicKey{AllowCredentials: huge[:8]})
	if _, is := heard.events[0].(protocol.PasskeyRequested); !is || *ended != 0 {
		t.Errorf("%d: %v", *ended, heard.events)
	}
}
