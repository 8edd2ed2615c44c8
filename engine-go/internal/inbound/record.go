// Package inbound turns what whatsmeow hands over into the records of the journal, and into the events that are told and not kept. Pure: no
// clock, no randomness, no input or output. Package session calls it from its event handler and from its log.
//
// The records say what connector/whatsam_connector/engine/neonize_adapter makes of the same stanzas, so that nobody above has to know which
// engine wrote a journal. Ids are deterministic (see identify): what WhatsApp delivers again after a kill has the id that it had before.
package inbound

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/journal"
)

// Own is who we are, under both names of the account. Devices do not matter.
type Own struct {
	JID types.JID
	LID types.JID
}

func (own Own) is(jid types.JID) bool {
	return jid.User != "" && (jid.User == own.JID.User && jid.Server == own.JID.Server || jid.User == own.LID.User && jid.Server == own.LID.Server)
}

// Record is the record of an event. ok is false for events that are nothing to keep. isMessage says that the event was an encrypted message,
// whose decryption has changed the session's file. A message that only carried keys is (nil, true, true): nothing to keep, but handled.
//
// It never panics: what it stumbles over is kept as it came.
func Record(event any, own Own, now time.Time) (record journal.Record, isMessage, ok bool) {
	defer func() {
		if problem := recover(); problem != nil {
			record, isMessage, ok = unreadable(event, problem), true, true
		}
	}()
	switch event := event.(type) {
	case *events.Message:
		// The messages of a newsletter are not encrypted and change no keys.
		return messageRecord(event, own), event.Info.Chat.Server != types.NewsletterServer, true
	case *events.UndecryptableMessage:
		return undecryptableRecord(event, own), false, true
	case *events.Receipt:
		record = receiptRecord(event)
	case *events.CallOffer:
		record = callRecord(event.BasicCallMeta, journal.CallOffered, event.Data, false, "")
	case *events.CallOfferNotice:
		record = callRecord(event.BasicCallMeta, journal.CallOffered, event.Data, event.Media == "video", "")
	case *events.CallAccept:
		record = callRecord(event.BasicCallMeta, journal.CallAccepted, event.Data, false, "")
	case *events.CallTerminate:
		record = callRecord(event.BasicCallMeta, journal.CallEnded, event.Data, false, event.Reason)
	case *events.JoinedGroup:
		record = groupRecord(event, now)
	case *events.GroupInfo:
		record = groupChangeRecord(event)
	case *events.Picture:
		record = pictureRecord(event)
	case *events.IdentityChange:
		record = identityRecord(event)
	default:
		record = appStateRecord(event, now)
	}
	return record, false, record != nil
}

// Unreadable is the record of an event, or of a part of one, that cannot be read, and the record's id, which is the same each time.
func Unreadable(event, problem any) (journal.Record, string) {
	record := unreadable(event, problem)
	return record, record.(journal.InboundUnreadable).EventID
}

// unreadable keeps an event that a conversion stumbled over.
func unreadable(event, problem any) journal.Record {
	kind := reflect.TypeOf(event)
	for kind != nil && kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	name := "nothing"
	if kind != nil {
		name = kind.Name()
	}
	return unreadableBytes(name, fmt.Sprintf("%T", problem), asBytes(event))
}

// unreadableBytes is the record of something that stayed bytes. The error is the name of its type: no content.
func unreadableBytes(name, problem string, data []byte) journal.Record {
	return journal.InboundUnreadable{EventID: identify("unreadable", name, digest(data)), Event: name, Error: problem, Data: data}
}

// TooLarge is what is kept in the place of a record that the journal does not take: its bytes, without what was read from them.
func TooLarge(record journal.Record) journal.Record {
	return unreadableBytes(record.Name(), "TooLarge", record.Blob())
}

// asBytes is the protobuf of what is one, and the JSON of anything else.
func asBytes(event any) (data []byte) {
	defer func() {
		if recover() != nil {
			data = []byte{}
		}
	}()
	switch event := event.(type) {
	case *events.Message:
		if event != nil {
			return marshal(event.RawMessage)
		}
	case proto.Message:
		return marshal(event)
	}
	data, err := json.Marshal(event)
	if err != nil {
		return []byte{}
	}
	return data
}
