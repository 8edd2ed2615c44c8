package session

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"

	"whatsam.io/engine/internal/inbound"
	"whatsam.io/engine/internal/protocol"
)

const (
	firstPause   = time.Second
	historyPause = time.Minute
	longestPause = 15 * time.Minute
	// mostStumbles bounds what is remembered of faults.
	mostStumbles = 1024
)

// stumbles knows at which events a handler has failed, and how long to wait before WhatsApp is asked for them again.
type stumbles struct {
	mutex     sync.Mutex
	at        map[string]bool
	pause     time.Duration
	last      time.Time
	returning bool
}

// again says whether a handler has failed at this event before.
func (stumbles *stumbles) again(event string) bool {
	stumbles.mutex.Lock()
	defer stumbles.mutex.Unlock()
	before := stumbles.at[event]
	if stumbles.at == nil || len(stumbles.at) >= mostStumbles {
		stumbles.at = map[string]bool{}
	}
	stumbles.at[event] = true
	return before
}

// wait is how long to wait now: each time twice as long, until an hour was good. false: somebody waits already.
func (stumbles *stumbles) wait(first time.Duration, now time.Time) (time.Duration, bool) {
	stumbles.mutex.Lock()
	defer stumbles.mutex.Unlock()
	if stumbles.returning {
		return 0, false
	}
	if now.Sub(stumbles.last) > time.Hour {
		stumbles.pause = 0
	}
	stumbles.returning, stumbles.last = true, now
	stumbles.pause = max(first, min(2*stumbles.pause, longestPause))
	return stumbles.pause, true
}

func (stumbles *stumbles) waited() {
	stumbles.mutex.Lock()
	defer stumbles.mutex.Unlock()
	stumbles.returning = false
}

// stumble is called when a handler has panicked. The event is not acknowledged, and it comes again with a new connection. The second time it is
// kept as unreadable, so that one event cannot keep those behind it away for ever; true: it is kept.
func (session *session) stumble(event, problem any) (kept bool) {
	defer func() {
		if recover() != nil {
			kept = false
		}
		if !kept {
			session.comeAgain()
		}
	}()
	session.collections.Load().loses()
	line(fmt.Sprintf("session: fault no. %d in a handler: %T at %T", faults.Add(1), problem, event))
	record, id := inbound.Unreadable(event, problem)
	return session.stumbles.again(id) && session.keep(record, true)
}

// comeAgain closes the connection at once, because some kinds of stanzas are acknowledged whatever a handler says, and makes another one after
// a pause.
func (session *session) comeAgain() {
	pause, mine := session.stumbles.wait(firstPause, time.Now())
	session.cut()
	if !mine || session.leaving.Load() || !session.ran.Load() {
		return // whoever waits already connects again
	}
	session.isAway(protocol.Disconnected{UID: session.uid, Reason: "ConnectionLost"})
	session.spawn("connecting again", func() {
		if !session.waits(&session.stumbles, pause) {
			return
		}
		err := session.client.ConnectContext(session.ctx)
		if err != nil && !errors.Is(err, whatsmeow.ErrAlreadyConnected) && !session.leaving.Load() {
			session.fail(fmt.Sprintf("no connection: %v", err))
		}
	})
}

// askLater makes a new connection after a pause, so that WhatsApp delivers again what could not be fetched now. It waits by a clock of its own:
// a connection that comeAgain has closed must not wait for it.
func (session *session) askLater() {
	pause, mine := session.unfetched.wait(historyPause, time.Now())
	if mine {
		session.spawn("asking again", func() {
			if session.waits(&session.unfetched, pause) {
				session.client.ResetConnection()
			}
		})
	}
}

// waits returns after the pause, or false when the session leaves.
func (session *session) waits(clock *stumbles, pause time.Duration) bool {
	defer clock.waited()
	select {
	case <-time.After(pause):
		return true
	case <-session.patience.Done():
		return false
	}
}
