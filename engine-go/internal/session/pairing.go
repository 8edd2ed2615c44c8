package session

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/whatsmeow"

	"whatsam.io/engine/internal/protocol"
)

const (
	// allCodes is how long a code to type is good for: the server closes the connection when the QR codes have run out.
	allCodes = 160 * time.Second
	// loginAfterScan is from the phone's approval to the login. whatsmeow only logs when the reconnect after pairing fails.
	loginAfterScan = 100 * time.Second
	// codeLimit is how long WhatsApp may take to register a code to type.
	codeLimit = 30 * time.Second
	// browser is what WhatsApp shows for a pairing by code; it takes a few names only.
	browser = "Chrome (Linux)"
)

// pair follows the codes of one pairing to its end, which is the end of the process unless a phone has approved.
func (session *session) pair(codes <-chan whatsmeow.QRChannelItem) {
	first := true
	for item := range codes {
		switch item.Event {
		case whatsmeow.QRChannelEventCode:
			session.hasBegun()
			session.show(item, first)
			first = false
		case whatsmeow.QRChannelSuccess.Event:
			time.AfterFunc(loginAfterScan, func() {
				if !session.connected.Load() && !session.leaving.Load() {
					session.fail("no login after the pairing")
				}
			})
		case whatsmeow.QRChannelScannedWithoutMultidevice.Event:
			// The code is still good.
		case whatsmeow.QRChannelTimeout.Event:
			session.pairingEnded(protocol.PairingEndTimeout, protocol.PairingTimeout, item.Event)
		case whatsmeow.QRChannelClientOutdated.Event:
			session.pairingEnded(protocol.PairingEndOutdated, protocol.PairingFailed, item.Event)
		case whatsmeow.QRChannelEventPasskeyRequest, whatsmeow.QRChannelEventPasskeyResponse:
			session.pairingEnded(protocol.PairingEndPasskey, protocol.PairingFailed, item.Event)
		default:
			session.pairingEnded(protocol.PairingEndError, protocol.PairingFailed, item.Event)
		}
	}
}

func (session *session) show(item whatsmeow.QRChannelItem, first bool) {
	now := time.Now()
	switch *session.start.PairingMethod {
	case "QR":
		session.tools.Emit(protocol.QrShown{UID: session.uid, Code: item.Code, ExpiresAt: now.Add(item.Timeout)})
	case "Code":
		if first {
			session.spawn("pairing by code", func() { session.askForCode(now.Add(allCodes)) })
		}
	}
}

func (session *session) askForCode(expires time.Time) {
	phone := ""
	if session.start.PhoneNumber != nil {
		phone = *session.start.PhoneNumber
	}
	ctx, cancel := context.WithTimeout(session.ctx, codeLimit)
	defer cancel()
	code, err := session.client.PairPhone(ctx, phone, true, whatsmeow.PairClientChrome, browser)
	if err != nil {
		session.pairingEnded(protocol.PairingEndError, protocol.PairingFailed, fmt.Sprintf("no code: %v", err))
		return
	}
	session.tools.Emit(protocol.PairingCodeShown{UID: session.uid, Code: code, ExpiresAt: expires})
}

func (session *session) pairingEnded(reason protocol.PairingEnd, code protocol.ExitCode, word string) {
	if session.leaving.Load() {
		return
	}
	session.tools.Emit(protocol.PairingEnded{UID: session.uid, Reason: reason})
	session.tools.End(code, "pairing ended: "+redact(word))
}
