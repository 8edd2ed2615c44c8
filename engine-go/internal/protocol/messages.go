// Package protocol has the messages between a supervisor and its engine, version 2, as connector/whatsam_connector/engine/protocol.py defines
// them, and their frames: a 4-byte big-endian length and one JSON object.
package protocol

import (
	"time"

	"whatsam.io/engine/internal/journal"
)

// Version of the protocol, told in Hello.
const Version = 2

// Position is a place in a journal.
type Position = journal.Position

// ExitCode is how an engine process ends.
type ExitCode int

// The exit codes; 70 and above, so that none is taken for one of Go's own.
const (
	Clean          ExitCode = 0
	BadArguments   ExitCode = 70
	FenceNotArmed  ExitCode = 71
	ParentGone     ExitCode = 72
	ProtocolError  ExitCode = 73
	EngineFailed   ExitCode = 74
	JournalFailed  ExitCode = 75
	PairingTimeout ExitCode = 80
	PairingFailed  ExitCode = 81
	ConnectFailed  ExitCode = 82
)

// Capabilities are what an engine can do beyond the least.
type Capabilities struct {
	OwnMessageIDs   bool `json:"own_message_ids"`
	AckAfterPersist bool `json:"ack_after_persist"`
	Passkey         bool `json:"passkey"`
}

// SessionStart is one session to run.
type SessionStart struct {
	UID           string  `json:"uid"`
	Database      string  `json:"database"`
	Journal       string  `json:"journal"`
	JID           *string `json:"jid"`
	PairingMethod *string `json:"pairing_method"`
	PhoneNumber   *string `json:"phone_number"`
	Proxy         *string `json:"proxy"`
	Debug         bool    `json:"debug"`
	JournalLimit  int64   `json:"journal_limit"`
	FreeDisk      int64   `json:"free_disk"`
}

// ToEngine is a message of the supervisor.
type ToEngine interface{ toEngine() }

// Start names the sessions to run; the parent's first word.
type Start struct {
	Sessions []SessionStart `json:"sessions"`
}

// Arm moves the kernel timer to a moment of CLOCK_BOOTTIME.
type Arm struct {
	ID       int64   `json:"id"`
	Deadline float64 `json:"deadline"`
}

// Ping asks for a sign of life.
type Ping struct {
	ID int64 `json:"id"`
}

// Send sends a message (WhatsApp's protobuf) to a JID.
type Send struct {
	ID        int64   `json:"id"`
	UID       string  `json:"uid"`
	To        string  `json:"to"`
	Message   []byte  `json:"message"`
	MessageID *string `json:"message_id"`
}

// Call carries out a method for a session; its arguments are a JSON object.
type Call struct {
	ID        int64  `json:"id"`
	UID       string `json:"uid"`
	Method    string `json:"method"`
	Arguments string `json:"arguments"`
}

// Cancel says that nobody waits for a request any more.
type Cancel struct {
	Target int64 `json:"target"`
}

// Disconnect ends one session.
type Disconnect struct {
	ID  int64  `json:"id"`
	UID string `json:"uid"`
}

// Logout unlinks a session's device.
type Logout struct {
	ID  int64  `json:"id"`
	UID string `json:"uid"`
}

// Stop ends the process in order.
type Stop struct{}

func (Start) toEngine()      {}
func (Arm) toEngine()        {}
func (Ping) toEngine()       {}
func (Send) toEngine()       {}
func (Call) toEngine()       {}
func (Cancel) toEngine()     {}
func (Disconnect) toEngine() {}
func (Logout) toEngine()     {}
func (Stop) toEngine()       {}

// ToParent is a message of the engine.
type ToParent interface{ toParent() }

// Answer is what a request came to.
type Answer interface {
	ToParent
	answer()
}

// Hello is the engine's first word.
type Hello struct {
	Version       int          `json:"version"`
	Engine        string       `json:"engine"`
	EngineVersion string       `json:"engine_version"`
	PID           int          `json:"pid"`
	Capabilities  Capabilities `json:"capabilities"`
	Deadline      float64      `json:"deadline"`
}

// Started says that the last session has started.
type Started struct{}

// Done says that a request was carried out.
type Done struct {
	ID int64 `json:"id"`
}

// Sent says that WhatsApp's server took a message.
type Sent struct {
	ID        int64     `json:"id"`
	WaID      string    `json:"wa_id"`
	Timestamp time.Time `json:"timestamp"`
}

// Result is what a call came to, as JSON.
type Result struct {
	ID    int64  `json:"id"`
	Value string `json:"value"`
}

// Refused says that a request had no effect outside this process.
type Refused struct {
	ID      int64  `json:"id"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Uncertain says that a request may have had its effect.
type Uncertain struct {
	ID      int64  `json:"id"`
	Message string `json:"message"`
}

// EventFrame carries an event.
type EventFrame struct {
	Event Event `json:"event"`
}

func (Hello) toParent()      {}
func (Started) toParent()    {}
func (Done) toParent()       {}
func (Sent) toParent()       {}
func (Result) toParent()     {}
func (Refused) toParent()    {}
func (Uncertain) toParent()  {}
func (EventFrame) toParent() {}

func (Done) answer()      {}
func (Sent) answer()      {}
func (Result) answer()    {}
func (Refused) answer()   {}
func (Uncertain) answer() {}
