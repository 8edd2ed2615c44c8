package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/protocol"
)

const (
	answerPasskey  = "answer_passkey"
	confirmPasskey = "confirm_passkey"
	// longestPasskey is how long a passkey is waited for: whatsmeow proves for five minutes that the code was scanned.
	longestPasskey = 5 * time.Minute
	// largestRequest is what a session's status takes.
	largestRequest = 16 << 10
	// passkeyStep is how long each following step may take: the phone's word, somebody who compares the code, the link.
	passkeyStep = 2 * time.Minute
)

// passkey is how far a pairing by passkey has come; guarded by the pairing's mutex.
type passkey struct {
	asked    bool
	compares bool // somebody compares the code
	latest   time.Time
	patience *time.Timer
}

func (passkey *passkey) stop() {
	if passkey.patience != nil {
		passkey.patience.Stop()
	}
}

// wait ends the pairing when nothing has happened until then. False: it is over already.
func (pairing *pairing) wait(latest time.Time, compares bool) bool {
	pairing.mutex.Lock()
	defer pairing.mutex.Unlock()
	if pairing.over {
		return false
	}
	passkey := &pairing.passkey
	passkey.stop()
	passkey.asked, passkey.compares, passkey.latest = true, compares, latest
	passkey.patience = time.AfterFunc(time.Until(latest), func() {
		defer pairing.session.contain("passkey")
		pairing.end(protocol.PairingEndTimeout, protocol.PairingTimeout, "the passkey did not come in time")
	})
	return true
}

// answered gives the phone its time to go on, which it may have done already.
func (pairing *pairing) answered() {
	pairing.mutex.Lock()
	latest, compares := pairing.passkey.latest, pairing.passkey.compares
	pairing.mutex.Unlock()
	if next := time.Now().Add(passkeyStep); next.After(latest) {
		pairing.wait(next, compares)
	}
}

func (pairing *pairing) passkeyAsked(options *types.WebAuthnPublicKey) {
	pairing.take()
	limit := longestPasskey
	if told := time.Duration(options.Timeout) * time.Millisecond; told > 0 {
		limit = min(limit, told)
	}
	request, err := json.Marshal(options)
	if err != nil || len(request) > largestRequest {
		pairing.end(protocol.PairingEndError, protocol.PairingFailed, fmt.Sprintf("passkey: a request of %d bytes: %v", len(request), err))
		return
	}
	if expires := time.Now().Add(limit); pairing.wait(expires, false) {
		pairing.session.tools.Emit(protocol.PasskeyRequested{UID: pairing.session.uid, Request: string(request), ExpiresAt: expires})
	}
}

// passkeyTaken goes on when the phone has: at once if the scan is proven, else when somebody has compared the code.
func (pairing *pairing) passkeyTaken(taken *events.PairPasskeyConfirmation) {
	expires := time.Now().Add(passkeyStep)
	if !pairing.wait(expires, !taken.SkipHandoffUX) {
		return
	}
	if !taken.SkipHandoffUX {
		pairing.session.tools.Emit(protocol.PasskeyConfirmationShown{UID: pairing.session.uid, Code: &taken.Code, ExpiresAt: expires})
		return
	}
	pairing.session.tools.Emit(protocol.PasskeyConfirmationShown{UID: pairing.session.uid, ExpiresAt: expires})
	ctx, cancel := context.WithTimeout(pairing.session.ctx, answerLimit)
	defer cancel()
	if err := pairing.session.client.SendPasskeyConfirmation(ctx); err != nil {
		pairing.end(protocol.PairingEndError, protocol.PairingFailed, fmt.Sprintf("passkey: %v", err))
	}
}

// call carries out one of the two calls. What WhatsApp refuses may be tried again as long as it is asked for.
func (pairing *pairing) call(ctx context.Context, request protocol.Call) protocol.Answer {
	if pairing == nil {
		return notAsked(request.ID)
	}
	pairing.mutex.Lock()
	asked, compares := pairing.passkey.asked && !pairing.over, pairing.passkey.compares && !pairing.over
	pairing.mutex.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var err error
	switch {
	case request.Method == answerPasskey && asked:
		var arguments struct{ Response types.WebAuthnResponse }
		if json.Unmarshal([]byte(request.Arguments), &arguments) != nil || len(arguments.Response.RawID) == 0 {
			return protocol.Refused{ID: request.ID, Code: "Invalid", Message: "this is no answer of an authenticator"}
		}
		if err = pairing.session.client.SendPasskeyResponse(ctx, &arguments.Response); err == nil {
			pairing.answered()
		}
	case request.Method == confirmPasskey && compares:
		if err = pairing.session.client.SendPasskeyConfirmation(ctx); err == nil {
			pairing.wait(time.Now().Add(passkeyStep), false)
		}
	default:
		return notAsked(request.ID)
	}
	var refused *whatsmeow.IQError
	switch {
	case errors.As(err, &refused):
		return protocol.Refused{ID: request.ID, Code: "Rejected", Message: fmt.Sprintf("WhatsApp does not take it (error %d)", refused.Code)}
	case err != nil:
		return protocol.Uncertain{ID: request.ID, Message: redact(err.Error())}
	}
	return protocol.Result{ID: request.ID, Value: "null"}
}

func notAsked(id int64) protocol.Answer {
	return protocol.Refused{ID: id, Code: "Conflict", Message: "no passkey is asked for now"}
}
