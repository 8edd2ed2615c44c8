package session

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/protocol"
)

const (
	// firstCode and nextCode are how long a QR code is shown, as WhatsApp's own clients do.
	firstCode = 60 * time.Second
	nextCode  = 20 * time.Second
	// usualCodes is how many codes there are when the first one is shown for longer.
	usualCodes = 6
	// allCodes is how long a code to type is good for: the server closes the connection when the QR codes have run out.
	allCodes = 160 * time.Second
	// loginAfterScan is from the phone's approval to the login. whatsmeow only logs when the reconnect after pairing fails.
	loginAfterScan = 100 * time.Second
	// codeLimit is how long WhatsApp may take to register a code to type.
	codeLimit = 30 * time.Second
	// browser is what WhatsApp shows for a pairing by code; it takes a few names only.
	browser = "Chrome (Linux)"
)

// pairing is how a session gets its device: codes until a phone takes one, a passkey if the account asks for it, and the end of both, which is the
// end of the process unless a phone has approved. whatsmeow's own channel of codes is not used: it hangs up when the codes have run out, also when
// somebody is just looking for the passkey.
type pairing struct {
	session *session
	handler uint32
	// taken ends the showing of codes.
	taken context.Context
	take  context.CancelFunc

	mutex   sync.Mutex
	codes   []string
	over    bool
	passkey passkey
}

// pair hears of everything that concerns the pairing; to be called before the connection is made.
func (session *session) pair() {
	made := &pairing{session: session}
	made.taken, made.take = context.WithCancel(session.ctx)
	session.pairing = made
	made.handler = session.client.AddEventHandler(made.handle)
}

func (pairing *pairing) handle(event any) {
	defer pairing.session.contain("pairing")
	pairing.mutex.Lock()
	over := pairing.over
	pairing.mutex.Unlock()
	if over {
		return
	}
	switch event := event.(type) {
	case *events.QR:
		pairing.mutex.Lock()
		pairing.codes = event.Codes
		pairing.mutex.Unlock()
		pairing.session.spawn("codes", pairing.show)
	case *events.RotateADVSecret:
		pairing.rotate(event.OldSecret, event.NewSecret)
	case *events.QRScannedWithoutMultidevice:
		// The code is still good.
	case *events.PairPasskeyRequest:
		pairing.passkeyAsked(event.PublicKey)
	case *events.PairPasskeyConfirmation:
		pairing.passkeyTaken(event)
	case *events.PairPasskeyError:
		pairing.end(protocol.PairingEndError, protocol.PairingFailed, fmt.Sprintf("passkey: %v", event.Error))
	case *events.PairSuccess:
		pairing.succeeded()
	case *events.PairError:
		pairing.end(protocol.PairingEndError, protocol.PairingFailed, "error")
	case *events.ClientOutdated:
		pairing.end(protocol.PairingEndOutdated, protocol.PairingFailed, "the client is outdated")
	case *events.Disconnected:
		pairing.end(protocol.PairingEndTimeout, protocol.PairingTimeout, "disconnected")
	case *events.Connected, *events.ConnectFailure, *events.LoggedOut, *events.TemporaryBan:
		pairing.end(protocol.PairingEndError, protocol.PairingFailed, fmt.Sprintf("%T", event))
	}
}

// close ends the pairing's part in the session; false: it has ended before.
func (pairing *pairing) close() bool {
	pairing.mutex.Lock()
	defer pairing.mutex.Unlock()
	if pairing.over {
		return false
	}
	pairing.over = true
	pairing.passkey.stop()
	pairing.take()
	// Not here: whatsmeow holds the lock of its handlers while it tells an event.
	pairing.session.spawn("pairing", func() { pairing.session.client.RemoveEventHandler(pairing.handler) })
	return true
}

func (pairing *pairing) succeeded() {
	session := pairing.session
	if !pairing.close() {
		return
	}
	time.AfterFunc(loginAfterScan, func() {
		if !session.connected.Load() && !session.leaving.Load() {
			session.fail("no login after the pairing")
		}
	})
}

func (pairing *pairing) end(reason protocol.PairingEnd, code protocol.ExitCode, word string) {
	if !pairing.close() || pairing.session.leaving.Load() {
		return
	}
	pairing.session.tools.Emit(protocol.PairingEnded{UID: pairing.session.uid, Reason: reason})
	pairing.session.tools.End(code, "pairing ended: "+redact(word))
}

// show shows one code after the other until a phone has taken one.
func (pairing *pairing) show() {
	pairing.session.hasBegun()
	for first := true; ; first = false {
		pairing.mutex.Lock()
		left := len(pairing.codes)
		if left == 0 {
			pairing.mutex.Unlock()
			pairing.end(protocol.PairingEndTimeout, protocol.PairingTimeout, "no more codes")
			return
		}
		code := pairing.codes[0]
		pairing.codes = pairing.codes[1:]
		pairing.mutex.Unlock()
		shown := nextCode
		if first && left == usualCodes {
			shown = firstCode
		}
		pairing.showOne(code, first, time.Now().Add(shown))
		select {
		case <-pairing.taken.Done():
			return
		case <-time.After(shown):
		}
	}
}

func (pairing *pairing) showOne(code string, first bool, until time.Time) {
	session := pairing.session
	switch *session.start.PairingMethod {
	case "QR":
		session.tools.Emit(protocol.QrShown{UID: session.uid, Code: code, ExpiresAt: until})
	case "Code":
		if first {
			latest := time.Now().Add(allCodes)
			session.spawn("pairing by code", func() { pairing.askForCode(latest) })
		}
	}
}

// rotate puts the new secret into the codes that were not shown yet; WhatsApp asks for that.
func (pairing *pairing) rotate(before, after string) {
	pairing.mutex.Lock()
	defer pairing.mutex.Unlock()
	for place, code := range pairing.codes {
		pairing.codes[place] = strings.Replace(code, before, after, 1)
	}
}

func (pairing *pairing) askForCode(expires time.Time) {
	session := pairing.session
	phone := ""
	if session.start.PhoneNumber != nil {
		phone = *session.start.PhoneNumber
	}
	ctx, cancel := context.WithTimeout(session.ctx, codeLimit)
	defer cancel()
	code, err := session.client.PairPhone(ctx, phone, true, whatsmeow.PairClientChrome, browser)
	if err != nil {
		pairing.end(protocol.PairingEndError, protocol.PairingFailed, fmt.Sprintf("no code: %v", err))
		return
	}
	session.tools.Emit(protocol.PairingCodeShown{UID: session.uid, Code: code, ExpiresAt: expires})
}
