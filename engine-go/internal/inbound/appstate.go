package inbound

import (
	"time"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/journal"
)

// recent is how long ago something may have been done to be news. Not longer: a full sync that is repeated would mark as read what has come since.
const recent = 2 * time.Minute

// appStateRecord is the record of what was done to a chat, a contact or a message on the phone or another device of the account; nil for
// events of other kinds. What is not kept has no place in the tables: starred messages, labels, the settings of the apps.
//
// What was done just now is news even in a full sync: whatsmeow calls the first change of all in a collection one.
//
// It is made of whatsmeow's own kinds of events and not of events.AppState, which comes beside each of them: only they tell a full sync, which
// repeats what has been so for years, from news.
func appStateRecord(event any, now time.Time) journal.Record {
	changed := func(value *waSyncAction.SyncActionValue, at time.Time, fullSync bool, index ...string) journal.Record {
		value.Timestamp = proto.Int64(at.UnixMilli())
		data := marshal(value)
		return journal.InboundAppState{
			EventID: identify(append([]string{"app state", digest(data)}, index...)...),
			Index:   index, Timestamp: moment(at), FullSync: fullSync && now.Sub(at) > recent, Data: data,
		}
	}
	switch event := event.(type) {
	case *events.Archive:
		value := &waSyncAction.SyncActionValue{ArchiveChatAction: event.Action}
		return changed(value, event.Timestamp, event.FromFullSync, appstate.IndexArchive, PersonText(event.JID))
	case *events.Pin:
		value := &waSyncAction.SyncActionValue{PinAction: event.Action}
		return changed(value, event.Timestamp, event.FromFullSync, appstate.IndexPin, PersonText(event.JID))
	case *events.Mute:
		value := &waSyncAction.SyncActionValue{MuteAction: event.Action}
		return changed(value, event.Timestamp, event.FromFullSync, appstate.IndexMute, PersonText(event.JID))
	case *events.MarkChatAsRead:
		value := &waSyncAction.SyncActionValue{MarkChatAsReadAction: event.Action}
		return changed(value, event.Timestamp, event.FromFullSync, appstate.IndexMarkChatAsRead, PersonText(event.JID))
	case *events.Contact:
		value := &waSyncAction.SyncActionValue{ContactAction: event.Action}
		return changed(value, event.Timestamp, event.FromFullSync, appstate.IndexContact, PersonText(event.JID))
	case *events.DeleteChat:
		value := &waSyncAction.SyncActionValue{DeleteChatAction: event.Action}
		return changed(value, event.Timestamp, event.FromFullSync, appstate.IndexDeleteChat, PersonText(event.JID), flag(event.DeleteMedia))
	case *events.ClearChat:
		value := &waSyncAction.SyncActionValue{ClearChatAction: event.Action}
		return changed(value, event.Timestamp, event.FromFullSync, appstate.IndexClearChat, PersonText(event.JID), flag(event.DeleteMedia))
	case *events.DeleteForMe:
		value := &waSyncAction.SyncActionValue{DeleteMessageForMeAction: event.Action}
		return changed(
			value, event.Timestamp, event.FromFullSync, appstate.IndexDeleteMessageForMe,
			PersonText(event.ChatJID), readable(event.MessageID), flag(event.IsFromMe), nobodyIsZero(event.SenderJID),
		)
	}
	return nil
}

// Plenty says that a record is one of the thousands that a full sync of app state brings at once. Nothing is acknowledged by them, so nobody
// waits for each of them to be on disk: the committer syncs them together.
func Plenty(record journal.Record) bool {
	state, is := record.(journal.InboundAppState)
	return is && state.FullSync
}

// IsChange says that a record is of something that was done on the phone.
func IsChange(record journal.Record) bool {
	_, is := record.(journal.InboundAppState)
	return is
}

func flag(value bool) string {
	if value {
		return "1"
	}
	return "0"
}

// nobodyIsZero is WhatsApp's way to leave the sender out: in chats of two, and for our own messages.
func nobodyIsZero(jid types.JID) string {
	if text := PersonText(jid); text != "" {
		return text
	}
	return "0"
}
