// Package session runs WhatsApp sessions: one whatsmeow client with its own file, goroutines and limits for each. Made by the host through Engine.
//
// What counts is in handle: whatsmeow sends an acknowledgement only after its handlers have returned true, and they do so only when the journal
// has the record (on disk, with the policy "always"). What whatsmeow acknowledges before it tells of it is kept by listen, which hears its log.
package session

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"

	"whatsam.io/engine/internal/host"
	"whatsam.io/engine/internal/inbound"
	"whatsam.io/engine/internal/journal"
	"whatsam.io/engine/internal/protocol"
)

const (
	// startLimit is how long the first connection may take; beyond it the session leaves and the supervisor tries again.
	startLimit = 60 * time.Second
	// hangUpLimit is how long a disconnect may wait for a connection that is just being made.
	hangUpLimit = 3 * time.Second
	// drainLimit is how long handlers may still take after the connection was closed.
	drainLimit = 5 * time.Second
)

// session is one running session. It never stops and starts again.
type session struct {
	uid     string
	start   protocol.SessionStart
	tools   host.Tools
	journal *journal.Writer

	database  *database
	client    *whatsmeow.Client
	pairing   *pairing // nil with a device
	watch     watch
	stumbles  stumbles
	unfetched stumbles
	// collections is nil until there is a device.
	collections atomic.Pointer[collections]
	handlers    activity

	ctx    context.Context // whatsmeow's own work; ends when the session has left
	cancel context.CancelFunc
	// patience ends when the session begins to leave: a history that is being downloaded then comes again another time.
	patience  context.Context
	interrupt context.CancelFunc

	own         atomic.Pointer[inbound.Own]
	untold      bool // nobody was told of the device yet; only for the handler of Connected
	ran         atomic.Bool
	connected   atomic.Bool
	leaving     atomic.Bool
	left        atomic.Bool
	stirred     atomic.Bool // something has happened since the last time that memory was given back
	failed      atomic.Bool
	forgotten   atomic.Bool   // the device was unlinked, and its rows are deleted
	begun       chan struct{} // closed at the first sign of life: a login or a code
	beginOnce   sync.Once
	leavingLock sync.Mutex
	closeOnce   sync.Once
}

func newSession(start protocol.SessionStart, tools host.Tools) *session {
	made := &session{
		uid: start.UID, start: start, tools: tools, journal: tools.Journals[start.UID], untold: start.JID == nil, begun: make(chan struct{}),
	}
	made.ctx, made.cancel = context.WithCancel(context.Background())
	made.patience, made.interrupt = context.WithCancel(made.ctx)
	made.own.Store(&inbound.Own{})
	return made
}

// open opens the file and makes the client.
func (session *session) open(network *network) error {
	log := &sessionLog{session: session}
	opened, err := openDatabase(session.ctx, session.start.Database, log.Sub("Database"))
	if err != nil {
		return fmt.Errorf("the session's file: %w", err)
	}
	session.database = opened
	device, err := opened.device(session.ctx, session.start.JID)
	switch {
	case err != nil:
		return fmt.Errorf("the session's file: %w", err)
	case device == nil:
		return fmt.Errorf("the session's file does not hold its device")
	case device.ID == nil && session.start.PairingMethod == nil:
		return fmt.Errorf("the session's file has no device, and no pairing was asked for")
	}
	device.Container = rows{device.Container, session}
	client := whatsmeow.NewClient(device, log)
	if err = network.use(client, session.start.Proxy); err != nil {
		return fmt.Errorf("the session's proxy: %w", err)
	}
	client.SynchronousAck = true
	client.EnableDecryptedEventBuffer = true
	client.UseRetryMessageStore = true
	client.ManualHistorySyncDownload = true
	client.DisableManualHistorySyncReceipt = true
	client.EmitAppStateEventsOnFullSync = true
	client.BackgroundEventCtx = session.ctx
	client.AddEventHandlerWithSuccessStatus(session.handle)
	session.client = client
	if device.ID == nil {
		session.pair()
	}
	session.learn()
	return nil
}

// learn takes over who we are.
func (session *session) learn() {
	device := session.client.Store
	if device.ID != nil {
		session.own.Store(&inbound.Own{JID: *device.ID, LID: device.LID})
		session.watchCollections()
	}
}

// run connects; it returns when the connection is up or a code is shown, or when that has failed.
func (session *session) run() {
	session.ran.Store(true)
	expired := time.AfterFunc(startLimit, func() {
		select {
		case <-session.begun:
		default:
			session.fail("the connection did not come up in time")
		}
	})
	unlinked := session.client.Store.ID == nil
	err := session.client.ConnectContext(session.ctx)
	if err != nil {
		expired.Stop()
		if !session.leaving.Load() {
			session.fail(fmt.Sprintf("no connection: %v", err))
		}
		return
	}
	if !unlinked {
		session.hasBegun()
	}
}

func (session *session) hasBegun() {
	session.beginOnce.Do(func() { close(session.begun) })
}

// fail reports that the session cannot go on in this process. Alone it ends the process, among others it leaves.
func (session *session) fail(reason string) {
	if session.failed.Swap(true) {
		return
	}
	session.hasBegun()
	reason = redact(reason)
	session.tools.Emit(protocol.ConnectFailure{UID: session.uid, Reason: reason})
	if session.tools.Alone {
		session.tools.End(protocol.ConnectFailed, reason)
	}
	line("engine: a session failed: " + reason)
	go session.Disconnect()
}

// spawn runs a part of the session; when it panics, the session fails and the others go on.
func (session *session) spawn(name string, part func()) {
	go func() {
		defer session.contain(name)
		part()
	}()
}

// contain is deferred around everything of ours: a fault ends its session and not the process.
func (session *session) contain(where string) {
	if problem := recover(); problem != nil {
		session.fail(fmt.Sprintf("a fault in %s: %T", where, problem))
	}
}

// Disconnect closes the connection for good and waits until the handlers are done with what had arrived. What they are not done with was not
// acknowledged either, and comes again.
func (session *session) Disconnect() {
	session.leaving.Store(true)
	session.leavingLock.Lock()
	defer session.leavingLock.Unlock()
	session.interrupt()
	if session.client != nil {
		session.hangUp()
		session.handlers.wait(drainLimit)
	}
	session.connected.Store(false)
	session.left.Store(true)
	session.cancel()
}

// hangUp closes the connection. It waits for one that is being made, but not for ever: the end of the session's context ends it too.
func (session *session) hangUp() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer session.contain("hanging up")
		for {
			session.client.Disconnect()
			// whatsmeow forgets a disconnect that falls between the wait and the dial of its own reconnect.
			if session.ctx.Err() != nil || !session.client.IsConnected() {
				return
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(hangUpLimit):
	}
}

// cut closes the connection from within a handler that could not keep something: what whatsmeow acknowledges whatever a handler says then has
// no way out.
func (session *session) cut() {
	session.connected.Store(false)
	session.client.Disconnect()
}

// Close gives the file back.
func (session *session) Close() {
	session.closeOnce.Do(func() {
		if session.database != nil {
			session.collections.Load().close()
			session.database.close()
		}
	})
}

// me is our own JID with its device.
func (session *session) me() types.JID { return session.own.Load().JID }

var _ host.Session = (*session)(nil)

// line writes one line for the supervisor's log. It never waits: a supervisor that does not read must not hold a handler up.
func line(text string) {
	select {
	case lines <- text:
	default:
	}
}

var lines = make(chan string, 1024)

func init() {
	go func() {
		for text := range lines {
			fmt.Fprintln(os.Stderr, text)
		}
	}()
}
