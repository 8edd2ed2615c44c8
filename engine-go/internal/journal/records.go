package journal

import "time"

// The records are those of connector/whatsam_connector/journal/records.py, field for field; what each field means is written there. Package
// inbound makes them. A pointer is a field that may be None, a string type is one of Python's enums.

// ReceiptKind is what a receipt says about messages.
type ReceiptKind string

// The kinds of receipts.
const (
	ReceiptDelivered  ReceiptKind = "delivered"
	ReceiptSender     ReceiptKind = "sender"
	ReceiptRetry      ReceiptKind = "retry"
	ReceiptRead       ReceiptKind = "read"
	ReceiptReadSelf   ReceiptKind = "read-self"
	ReceiptPlayed     ReceiptKind = "played"
	ReceiptPlayedSelf ReceiptKind = "played-self"
)

// CallStep is what happened to a call.
type CallStep string

// The steps of a call.
const (
	CallOffered  CallStep = "offered"
	CallAccepted CallStep = "accepted"
	CallEnded    CallStep = "ended"
)

// GroupRole is what somebody may do in a group.
type GroupRole string

// The roles; the owner is WhatsApp's superadmin.
const (
	GroupMemberRole GroupRole = "member"
	GroupAdminRole  GroupRole = "admin"
	GroupOwnerRole  GroupRole = "owner"
)

// InboundMessage is a message that arrived, or one that the own phone or another own device sent.
type InboundMessage struct {
	EventID        string    `json:"event_id"`
	WaID           string    `json:"wa_id"`
	Chat           string    `json:"chat"`
	ChatPhone      *string   `json:"chat_phone"`
	Sender         string    `json:"sender"`
	SenderPhone    *string   `json:"sender_phone"`
	FromMe         bool      `json:"from_me"`
	Text           *string   `json:"text"`
	Type           string    `json:"type"`
	Timestamp      time.Time `json:"timestamp"`
	PushName       string    `json:"push_name"`
	Group          bool      `json:"group"`
	Raw            []byte    `json:"-"`
	IsEphemeral    bool      `json:"is_ephemeral"`
	IsViewOnce     bool      `json:"is_view_once"`
	IsEdit         bool      `json:"is_edit"`
	Edit           string    `json:"edit"`
	ServerID       *int64    `json:"server_id"`
	MediaType      *string   `json:"media_type"`
	BroadcastOwner *string   `json:"broadcast_owner"`
	VerifiedName   *string   `json:"verified_name"`
	Retries        int64     `json:"retries"`
	ResentByPhone  bool      `json:"resent_by_phone"`
}

// InboundReceipt is what somebody's device says became of messages.
type InboundReceipt struct {
	EventID     string      `json:"event_id"`
	WaIDs       []string    `json:"wa_ids"`
	Chat        string      `json:"chat"`
	ChatPhone   *string     `json:"chat_phone"`
	Sender      string      `json:"sender"`
	Kind        ReceiptKind `json:"kind"`
	Timestamp   time.Time   `json:"timestamp"`
	SenderPhone *string     `json:"sender_phone"`
	Group       bool        `json:"group"`
}

// InboundUndecryptable is a message that could not be decrypted.
type InboundUndecryptable struct {
	EventID          string    `json:"event_id"`
	WaID             string    `json:"wa_id"`
	Chat             string    `json:"chat"`
	ChatPhone        *string   `json:"chat_phone"`
	Sender           string    `json:"sender"`
	SenderPhone      *string   `json:"sender_phone"`
	FromMe           bool      `json:"from_me"`
	Timestamp        time.Time `json:"timestamp"`
	Group            bool      `json:"group"`
	Unavailable      bool      `json:"unavailable"`
	Hidden           bool      `json:"hidden"`
	AlreadyDecrypted bool      `json:"already_decrypted"`
}

// InboundCall is a call that somebody makes, or what became of it.
type InboundCall struct {
	EventID     string    `json:"event_id"`
	CallID      string    `json:"call_id"`
	Step        CallStep  `json:"step"`
	Caller      string    `json:"caller"`
	CallerPhone *string   `json:"caller_phone"`
	Group       *string   `json:"group"`
	Video       bool      `json:"video"`
	Reason      *string   `json:"reason"`
	Timestamp   time.Time `json:"timestamp"`
}

// GroupMember is somebody in a group.
type GroupMember struct {
	JID   string    `json:"jid"`
	Phone *string   `json:"phone"`
	Role  GroupRole `json:"role"`
}

// InboundGroup is a group that we have come into.
type InboundGroup struct {
	EventID          string        `json:"event_id"`
	Group            string        `json:"group"`
	Reason           string        `json:"reason"`
	Subject          string        `json:"subject"`
	Description      string        `json:"description"`
	Owner            *string       `json:"owner"`
	Announce         bool          `json:"announce"`
	Locked           bool          `json:"locked"`
	EphemeralSeconds int64         `json:"ephemeral_seconds"`
	Members          []GroupMember `json:"members"`
	Timestamp        time.Time     `json:"timestamp"`
}

// InboundGroupChange is what changed about a group; what did not change is nil or empty.
type InboundGroupChange struct {
	EventID          string    `json:"event_id"`
	Group            string    `json:"group"`
	By               *string   `json:"by"`
	Timestamp        time.Time `json:"timestamp"`
	Joined           []string  `json:"joined"`
	Left             []string  `json:"left"`
	Promoted         []string  `json:"promoted"`
	Demoted          []string  `json:"demoted"`
	JoinReason       string    `json:"join_reason"`
	Subject          *string   `json:"subject"`
	Description      *string   `json:"description"`
	Announce         *bool     `json:"announce"`
	Locked           *bool     `json:"locked"`
	EphemeralSeconds *int64    `json:"ephemeral_seconds"`
	Deleted          bool      `json:"deleted"`
	InviteLink       *string   `json:"invite_link"`
	Other            []string  `json:"other"`
}

// InboundPicture is a picture of a person or a group that was changed or removed.
type InboundPicture struct {
	EventID   string    `json:"event_id"`
	JID       string    `json:"jid"`
	By        *string   `json:"by"`
	Timestamp time.Time `json:"timestamp"`
	Removed   bool      `json:"removed"`
}

// InboundIdentityChange is somebody who registered anew: the security code of the chat is another one.
type InboundIdentityChange struct {
	EventID   string    `json:"event_id"`
	JID       string    `json:"jid"`
	Timestamp time.Time `json:"timestamp"`
}

// InboundAppState is what was done to a chat, a contact or a message on another device of the account, or what was so at pairing.
type InboundAppState struct {
	EventID   string    `json:"event_id"`
	Index     []string  `json:"index"`
	Timestamp time.Time `json:"timestamp"`
	FullSync  bool      `json:"full_sync"`
	Data      []byte    `json:"-"`
}

// InboundHistory is one part of a history that the phone hands over, a HistorySync of its own.
type InboundHistory struct {
	EventID string `json:"event_id"`
	Part    int64  `json:"part"`
	Parts   int64  `json:"parts"`
	Data    []byte `json:"-"`
}

// InboundUnreadable is something that no record could be made of, as it came.
type InboundUnreadable struct {
	EventID string `json:"event_id"`
	Event   string `json:"event"`
	Error   string `json:"error"`
	Data    []byte `json:"-"`
}

// Name is the name of the Python class.
func (InboundMessage) Name() string { return "InboundMessage" }

// Name is the name of the Python class.
func (InboundReceipt) Name() string { return "InboundReceipt" }

// Name is the name of the Python class.
func (InboundUndecryptable) Name() string { return "InboundUndecryptable" }

// Name is the name of the Python class.
func (InboundCall) Name() string { return "InboundCall" }

// Name is the name of the Python class.
func (InboundGroup) Name() string { return "InboundGroup" }

// Name is the name of the Python class.
func (InboundGroupChange) Name() string { return "InboundGroupChange" }

// Name is the name of the Python class.
func (InboundPicture) Name() string { return "InboundPicture" }

// Name is the name of the Python class.
func (InboundIdentityChange) Name() string { return "InboundIdentityChange" }

// Name is the name of the Python class.
func (InboundAppState) Name() string { return "InboundAppState" }

// Name is the name of the Python class.
func (InboundHistory) Name() string { return "InboundHistory" }

// Name is the name of the Python class.
func (InboundUnreadable) Name() string { return "InboundUnreadable" }

// Blob is WhatsApp's protobuf Message.
func (record InboundMessage) Blob() []byte { return record.Raw }

// Blob is nil: the record has no bytes.
func (InboundReceipt) Blob() []byte { return nil }

// Blob is nil: the record has no bytes.
func (InboundUndecryptable) Blob() []byte { return nil }

// Blob is nil: the record has no bytes.
func (InboundCall) Blob() []byte { return nil }

// Blob is nil: the record has no bytes.
func (InboundGroup) Blob() []byte { return nil }

// Blob is nil: the record has no bytes.
func (InboundGroupChange) Blob() []byte { return nil }

// Blob is nil: the record has no bytes.
func (InboundPicture) Blob() []byte { return nil }

// Blob is nil: the record has no bytes.
func (InboundIdentityChange) Blob() []byte { return nil }

// Blob is WhatsApp's protobuf SyncActionValue.
func (record InboundAppState) Blob() []byte { return record.Data }

// Blob is WhatsApp's protobuf HistorySync.
func (record InboundHistory) Blob() []byte { return record.Data }

// Blob is what came.
func (record InboundUnreadable) Blob() []byte { return record.Data }
