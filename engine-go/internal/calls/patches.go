package calls

import (
	"context"
	"errors"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
)

// patch sends a change of settings that all devices of the account share.
//
// The errors of whatsmeow's function need care: it fetches what has become of the settings after the change was made, and
// what goes wrong then is wrapped like what proves that nothing was done.
func patch(ctx context.Context, client *whatsmeow.Client, wanted appstate.PatchInfo) error {
	key, err := client.Store.AppStateKeys.GetLatestAppStateSyncKeyID(ctx)
	if err != nil {
		return beforehand{err}
	}
	if key == nil {
		return refuse("NotReady", "the phone has not shared its keys for settings yet")
	}
	err = client.SendAppState(ctx, wanted)
	if errors.Is(err, whatsmeow.ErrAppStateUpdate) {
		// Somebody was faster, and WhatsApp did not tell what was changed: fetch it, and put ours on top of that.
		if client.FetchAppState(ctx, wanted.Type, false, false) == nil {
			err = client.SendAppState(ctx, wanted)
		}
	}
	return patched(err)
}

func patched(err error) error {
	if err == nil || strings.HasPrefix(err.Error(), "failed to fetch app state after sending update") {
		return nil
	}
	if errors.Is(err, whatsmeow.ErrAppStateUpdate) {
		return refuse("ServerRefused", "WhatsApp did not take the change of the settings")
	}
	if answered, ok := err.(*whatsmeow.IQError); ok { // by assertion: a wrapped one proves nothing
		return answered
	}
	if strings.HasPrefix(err.Error(), "failed to get ") {
		return beforehand{err}
	}
	return open{err}
}
