package session

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/fence"
	"whatsam.io/engine/internal/inbound"
	"whatsam.io/engine/internal/journal"
	"whatsam.io/engine/internal/protocol"
)

// faults counts the panics in handlers of this process; they are told with their number and without what they were about.
var faults atomic.Int64

// handle takes every event of whatsmeow. true means handled: whatsmeow may acknowledge it.
func (session *session) handle(event any) (handled bool) {
	session.stirred.Store(true)
	session.handlers.begin()
	defer session.handlers.end()
	defer func() {
		if problem := recover(); problem != nil {
			handled = session.stumble(event, problem)
		}
	}()
	if session.left.Load() {
		session.collections.Load().loses()
		return false // the connection was closed: WhatsApp has no acknowledgement
	}
	session.note(event)
	if undecryptable, is := event.(*events.UndecryptableMessage); is && session.watch.forget(undecryptable.Info.ID) {
		return true // kept before it was acknowledged: see undecryptable
	}
	if message, is := event.(*events.Message); is && inbound.HistoryNotification(event) != nil && !session.history(message) {
		return false
	}
	record, isMessage, ok := inbound.Record(event, *session.own.Load(), time.Now())
	changes := inbound.IsChange(record)
	if changes {
		session.collections.Load().handling()
	}
	if ok && !session.keep(record, isMessage) {
		if changes {
			session.collections.Load().loses()
		}
		return false
	}
	if signal, told := inbound.Signal(session.uid, event); told {
		session.tools.Emit(signal)
	}
	if message, is := event.(*events.Message); is {
		session.watch.handled(message.Info.ID)
	}
	return true
}

// keep puts a record into the journal and tells of it; nil for something that has nothing to show but has changed keys. false: it is not kept
// and must not be acknowledged. Then the connection is closed, too: some kinds of stanzas are acknowledged whatever a handler says.
func (session *session) keep(record journal.Record, isMessage bool) bool {
	if record != nil {
		if session.tools.Committer.IsFull(session.uid) {
			session.cut()
			return false
		}
		position, err := session.journal.Append(record)
		if errors.Is(err, journal.ErrTooLarge) {
			position, err = session.journal.Append(inbound.TooLarge(record))
		}
		if err == nil && session.tools.Sync == journal.Always && !inbound.Plenty(record) {
			err = session.journal.Commit(position)
		}
		switch {
		case errors.Is(err, journal.ErrFailed):
			session.tools.End(protocol.JournalFailed, err.Error())
		case errors.Is(err, journal.ErrClosed):
			line("session: an event came after its session had left")
			session.cut()
			return false
		case err != nil:
			line(fmt.Sprintf("session: a record that the journal cannot take: %s", record.Name()))
			session.comeAgain()
			return false
		}
	}
	var message float64
	if isMessage {
		message = fence.Monotonic()
	}
	session.tools.Committer.Touch(session.uid, session.journal, message)
	return true
}

// note follows what happens to the connection.
func (session *session) note(event any) {
	switch event := event.(type) {
	case *events.PairSuccess:
		session.learn()
	case *events.Connected:
		session.isConnected()
	case *events.Disconnected:
		session.isAway(protocol.Disconnected{UID: session.uid, Reason: "ConnectionLost"})
	case *events.StreamError:
		session.isAway(protocol.Disconnected{UID: session.uid, Reason: "StreamError:" + event.Code})
	case *events.StreamReplaced:
		session.isAway(protocol.StreamReplaced{UID: session.uid})
	case *events.LoggedOut:
		// whatsmeow deletes the rows beside this event; whoever hears of it may count on that.
		session.forgotten.Store(true)
		if err := session.database.forget(session.ctx, session.me()); err != nil {
			line(fmt.Sprintf("session: the rows of a logged-out device are still there: %T", err))
		}
		session.isAway(protocol.LoggedOut{UID: session.uid, Reason: nameOf(failureNames, event.Reason), OnConnect: event.OnConnect})
	case *events.TemporaryBan:
		session.isAway(protocol.TemporaryBan{UID: session.uid, Code: nameOf(banNames, event.Code), Expires: time.Now().Add(event.Expire)})
	case *events.ConnectFailure:
		session.isAway(protocol.ConnectFailure{UID: session.uid, Reason: nameOf(failureNames, event.Reason)})
	case *events.ClientOutdated:
		session.isAway(protocol.ClientOutdated{UID: session.uid})
	}
}

func (session *session) isConnected() {
	session.learn()
	device := session.client.Store
	jid, lid := session.me(), inbound.PersonText(device.LID)
	var pushName *string
	if device.PushName != "" {
		name := device.PushName
		pushName = &name
	}
	if session.untold {
		session.untold = false
		session.tools.Emit(protocol.Paired{UID: session.uid, JID: jid.String(), LID: lid, PhoneNumber: jid.User, PushName: pushName})
	}
	session.connected.Store(true)
	session.hasBegun()
	session.spawn("reading settings again", session.readUnsettled)
	session.tools.Emit(protocol.Connected{UID: session.uid, JID: jid.String(), PushName: pushName, LID: lid})
}

func (session *session) isAway(event protocol.Event) {
	session.connected.Store(false)
	session.tools.Emit(event)
}

var failureNames = map[events.ConnectFailureReason]string{
	events.ConnectFailureGeneric:             "GENERIC",
	events.ConnectFailureLoggedOut:           "LOGGED_OUT",
	events.ConnectFailureTempBanned:          "TEMP_BANNED",
	events.ConnectFailureMainDeviceGone:      "MAIN_DEVICE_GONE",
	events.ConnectFailureUnknownLogout:       "UNKNOWN_LOGOUT",
	events.ConnectFailureClientOutdated:      "CLIENT_OUTDATED",
	events.ConnectFailureBadUserAgent:        "BAD_USER_AGENT",
	events.ConnectFailureInternalServerError: "INTERNAL_SERVER_ERROR",
	events.ConnectFailureExperimental:        "EXPERIMENTAL",
	events.ConnectFailureServiceUnavailable:  "SERVICE_UNAVAILABLE",
}

var banNames = map[events.TempBanReason]string{
	events.TempBanSentToTooManyPeople:    "SEND_TO_TOO_MANY_PEOPLE",
	events.TempBanBlockedByUsers:         "BLOCKED_BY_USERS",
	events.TempBanCreatedTooManyGroups:   "CREATED_TOO_MANY_GROUPS",
	events.TempBanSentTooManySameMessage: "SENT_TOO_MANY_SAME_MESSAGE",
	events.TempBanBroadcastList:          "BROADCAST_LIST",
}

// nameOf is the word that both engines have for a reason.
func nameOf[Reason ~int](names map[Reason]string, reason Reason) string {
	if name, known := names[reason]; known {
		return name
	}
	return fmt.Sprintf("UNKNOWN_%d", int(reason))
}
