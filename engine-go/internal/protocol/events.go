package protocol

import "time"

// Event is something that happened to a session. What each one means is documented in connector/whatsam_connector/engine/events.py.
type Event interface {
	// Session is the uid of the session that it happened to.
	Session() string
}

// PairingEnd says why a pairing came to its end without a device.
type PairingEnd string

// The ends of a pairing.
const (
	PairingEndTimeout  PairingEnd = "timeout"
	PairingEndError    PairingEnd = "error"
	PairingEndOutdated PairingEnd = "outdated"
)

// QrShown is a QR code to scan; the code is a secret.
type QrShown struct {
	UID       string    `json:"uid"`
	Code      string    `json:"code"`
	ExpiresAt time.Time `json:"expires_at"`
}

// PairingCodeShown is a code of eight characters to type on the phone.
type PairingCodeShown struct {
	UID       string    `json:"uid"`
	Code      string    `json:"code"`
	ExpiresAt time.Time `json:"expires_at"`
}

// PasskeyRequested says that the account asks for a passkey; the codes are used up.
type PasskeyRequested struct {
	UID string `json:"uid"`
	// Request is WebAuthn's PublicKeyCredentialRequestOptions as JSON.
	Request   string    `json:"request"`
	ExpiresAt time.Time `json:"expires_at"`
}

// PasskeyConfirmationShown says that the phone goes on after the passkey.
type PasskeyConfirmationShown struct {
	UID string `json:"uid"`
	// Code is to be compared with the one on the phone; nil: the engine has confirmed by itself, because the scan is proven.
	Code      *string   `json:"code"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Paired is told before Connected: a phone has approved this device, and it has logged in.
type Paired struct {
	UID         string  `json:"uid"`
	JID         string  `json:"jid"`
	LID         string  `json:"lid"`
	PhoneNumber string  `json:"phone_number"`
	PushName    *string `json:"push_name"`
}

// PairingEnded is told right before the process ends itself.
type PairingEnded struct {
	UID    string     `json:"uid"`
	Reason PairingEnd `json:"reason"`
}

// Connected is told after each login.
type Connected struct {
	UID      string  `json:"uid"`
	JID      string  `json:"jid"`
	PushName *string `json:"push_name"`
	LID      string  `json:"lid"`
}

// OfflineDrained says that WhatsApp has handed over what it had kept.
type OfflineDrained struct {
	UID   string `json:"uid"`
	Count int    `json:"count"`
}

// Disconnected says that the connection is gone and will come back by itself.
type Disconnected struct {
	UID    string `json:"uid"`
	Reason string `json:"reason"`
}

// KeepAliveLost says that WhatsApp has not answered a keep-alive.
type KeepAliveLost struct {
	UID        string `json:"uid"`
	ErrorCount int    `json:"error_count"`
}

// KeepAliveRestored says that WhatsApp answers keep-alives again.
type KeepAliveRestored struct {
	UID string `json:"uid"`
}

// LoggedOut says that the device is unlinked.
type LoggedOut struct {
	UID       string `json:"uid"`
	Reason    string `json:"reason"`
	OnConnect bool   `json:"on_connect"`
}

// StreamReplaced says that another connection of the same device has taken over.
type StreamReplaced struct {
	UID string `json:"uid"`
}

// TemporaryBan says that WhatsApp has banned the account for a while.
type TemporaryBan struct {
	UID     string    `json:"uid"`
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

// ConnectFailure says that there is no connection and no reconnect.
type ConnectFailure struct {
	UID    string `json:"uid"`
	Reason string `json:"reason"`
}

// ClientOutdated says that WhatsApp no longer takes this engine version.
type ClientOutdated struct {
	UID string `json:"uid"`
}

// KeysUploaded says that new prekeys are in the session's file and on their way to WhatsApp.
type KeysUploaded struct {
	UID string `json:"uid"`
}

// JournalAdvanced says that something arrived and is in the journal.
type JournalAdvanced struct {
	UID      string   `json:"uid"`
	Position Position `json:"position"`
	// At is when the newest inbound message was handled, in seconds of CLOCK_MONOTONIC; 0 before the first one.
	At float64 `json:"at"`
}

// ChatState is what somebody does in a chat.
type ChatState string

// The states of a chat.
const (
	ChatStateComposing ChatState = "composing"
	ChatStateRecording ChatState = "recording"
	ChatStatePaused    ChatState = "paused"
)

// ChatStateChanged says that somebody writes or records, or has stopped.
type ChatStateChanged struct {
	UID    string    `json:"uid"`
	Chat   string    `json:"chat"`
	Sender string    `json:"sender"`
	State  ChatState `json:"state"`
}

// PresenceChanged says that somebody came online or went.
type PresenceChanged struct {
	UID       string     `json:"uid"`
	JID       string     `json:"jid"`
	Available bool       `json:"available"`
	LastSeen  *time.Time `json:"last_seen"`
}

// JournalFull says that the session has left WhatsApp because nobody takes over what is in the journal.
type JournalFull struct {
	UID    string `json:"uid"`
	Reason string `json:"reason"`
}

// RetryRequested says that a recipient could not decrypt messages of ours.
type RetryRequested struct {
	UID        string   `json:"uid"`
	Chat       string   `json:"chat"`
	MessageIDs []string `json:"message_ids"`
}

// Session is the uid of the session that it happened to.
func (event QrShown) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event PairingCodeShown) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event PasskeyRequested) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event PasskeyConfirmationShown) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event Paired) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event PairingEnded) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event Connected) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event OfflineDrained) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event Disconnected) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event KeepAliveLost) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event KeepAliveRestored) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event LoggedOut) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event StreamReplaced) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event TemporaryBan) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event ConnectFailure) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event ClientOutdated) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event KeysUploaded) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event JournalAdvanced) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event ChatStateChanged) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event PresenceChanged) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event JournalFull) Session() string { return event.UID }

// Session is the uid of the session that it happened to.
func (event RetryRequested) Session() string { return event.UID }
