package inbound

import (
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/journal"
	"whatsam.io/engine/internal/protocol"
)

// Signal is what is told at once and not kept: it is news only while it is new. ok is false for every other event. A retry receipt has a record
// besides, which is to be kept first. What needs the session's state (logins, ends, prekeys) is told by package session.
func Signal(uid string, event any) (signal protocol.Event, ok bool) {
	switch event := event.(type) {
	case *events.Presence:
		return presence(uid, event), true
	case *events.ChatPresence:
		return protocol.ChatStateChanged{
			UID: uid, Chat: PersonText(event.Chat), Sender: PersonText(event.Sender), State: chatState(event),
		}, true
	case *events.Receipt:
		if receiptKinds[event.Type] != journal.ReceiptRetry {
			return nil, false
		}
		return protocol.RetryRequested{UID: uid, Chat: PersonText(event.Chat), MessageIDs: messageIDs(event)}, true
	case *events.OfflineSyncCompleted:
		return protocol.OfflineDrained{UID: uid, Count: event.Count}, true
	case *events.KeepAliveTimeout:
		return protocol.KeepAliveLost{UID: uid, ErrorCount: event.ErrorCount}, true
	case *events.KeepAliveRestored:
		return protocol.KeepAliveRestored{UID: uid}, true
	}
	return nil, false
}

func presence(uid string, event *events.Presence) protocol.PresenceChanged {
	told := protocol.PresenceChanged{UID: uid, JID: PersonText(event.From), Available: !event.Unavailable}
	if event.LastSeen.Unix() > 0 {
		seen := moment(event.LastSeen)
		told.LastSeen = &seen
	}
	return told
}

func chatState(event *events.ChatPresence) protocol.ChatState {
	switch {
	case event.State != types.ChatPresenceComposing:
		return protocol.ChatStatePaused
	case event.Media == types.ChatPresenceMediaAudio:
		return protocol.ChatStateRecording
	}
	return protocol.ChatStateComposing
}
