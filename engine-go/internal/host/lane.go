package host

import (
	"context"
	"slices"
	"sync"
	"time"

	"whatsam.io/engine/internal/protocol"
)

// work is a command; it answers when it is done, and soon after its context has ended.
type work func(ctx context.Context) protocol.Answer

type command struct {
	id   int64
	uid  string // whose it is
	work work
}

// run is a command that has begun.
type run struct {
	uid    string
	giveUp context.CancelFunc
}

// quiet is somebody who waits until nothing of a session is left.
type quiet struct {
	uid  string
	told chan struct{}
}

// lane works off commands one at a time, of one session or of many. It has a goroutine, one of the hands, only while there is something to do.
type lane struct {
	answer   func(protocol.Answer)
	mayBegin <-chan struct{}
	hands    *hands

	mutex   sync.Mutex
	waiting []command
	running map[int64]run
	current *int64 // what the next command waits for
	spare   int    // commands that may still be left behind unfinished
	quiet   []quiet
}

// newLane returns a lane whose commands begin when mayBegin is closed. So many commands as abandons may be left behind: when nobody waits for
// the running one any more, the next one begins beside it.
func newLane(answer func(protocol.Answer), mayBegin <-chan struct{}, hands *hands, abandons int) *lane {
	return &lane{answer: answer, mayBegin: mayBegin, hands: hands, spare: abandons, running: map[int64]run{}}
}

// put queues a command of a session; its answer is sent when it is done.
func (lane *lane) put(id int64, uid string, work work) {
	lane.mutex.Lock()
	defer lane.mutex.Unlock()
	lane.waiting = append(lane.waiting, command{id, uid, work})
	if lane.current == nil {
		lane.next()
	}
}

// cancel takes a command back when it has not begun. One that has begun is told to give up and answers for itself.
func (lane *lane) cancel(id int64) {
	lane.mutex.Lock()
	defer lane.mutex.Unlock()
	place := slices.IndexFunc(lane.waiting, func(each command) bool { return each.id == id })
	if place >= 0 {
		lane.waiting = slices.Delete(lane.waiting, place, place+1)
		lane.answer(protocol.Refused{ID: id, Code: "NotStarted", Message: "the session was busy until the time limit"})
		return
	}
	run, runs := lane.running[id]
	if !runs {
		return
	}
	run.giveUp()
	if lane.current != nil && *lane.current == id && lane.spare > 0 {
		lane.spare--
		lane.current = nil
		lane.next()
	}
}

// leave refuses what waits of a session and tells what runs of it to give up.
func (lane *lane) leave(uid string) {
	lane.mutex.Lock()
	defer lane.mutex.Unlock()
	lane.waiting = slices.DeleteFunc(lane.waiting, func(each command) bool {
		if each.uid == uid {
			lane.answer(hasGone(each.id))
		}
		return each.uid == uid
	})
	for _, run := range lane.running {
		if run.uid == uid {
			run.giveUp()
		}
	}
}

// waitUntilQuiet waits until nothing of a session runs or waits, at most so long. Whether it came to that.
func (lane *lane) waitUntilQuiet(uid string, limit time.Duration) bool {
	lane.mutex.Lock()
	if !lane.has(uid) {
		lane.mutex.Unlock()
		return true
	}
	told := make(chan struct{})
	lane.quiet = append(lane.quiet, quiet{uid, told})
	lane.mutex.Unlock()
	expired := time.NewTimer(limit)
	defer expired.Stop()
	select {
	case <-told:
		return true
	case <-expired.C:
		return false
	}
}

// has says whether anything of a session runs or waits. The mutex is held.
func (lane *lane) has(uid string) bool {
	for _, run := range lane.running {
		if run.uid == uid {
			return true
		}
	}
	return slices.ContainsFunc(lane.waiting, func(each command) bool { return each.uid == uid })
}

// tell tells those who wait for what has just come to an end. The mutex is held.
func (lane *lane) tell() {
	lane.quiet = slices.DeleteFunc(lane.quiet, func(each quiet) bool {
		if lane.has(each.uid) {
			return false
		}
		close(each.told)
		return true
	})
}

// next begins the first waiting command, if there is one. The mutex is held.
func (lane *lane) next() {
	if len(lane.waiting) == 0 {
		return
	}
	select {
	case <-lane.mayBegin:
	default:
		// Taken from the queue only when it may begin: until then it can be taken back.
		waits := int64(-1)
		lane.current = &waits
		go func() {
			<-lane.mayBegin
			lane.mutex.Lock()
			defer lane.mutex.Unlock()
			lane.current = nil
			lane.next()
		}()
		return
	}
	first := lane.waiting[0]
	lane.waiting = slices.Delete(lane.waiting, 0, 1)
	ctx, giveUp := context.WithCancel(context.Background())
	lane.running[first.id] = run{first.uid, giveUp}
	lane.current = &first.id
	lane.hands.do(func() { lane.carryOut(ctx, first) })
}

func (lane *lane) carryOut(ctx context.Context, one command) {
	lane.answer(one.work(ctx))
	lane.mutex.Lock()
	defer lane.mutex.Unlock()
	defer lane.tell()
	lane.running[one.id].giveUp()
	delete(lane.running, one.id)
	if lane.current != nil && *lane.current == one.id {
		lane.current = nil
		lane.next()
		return
	}
	lane.spare++ // it was left behind and has come to its end
	if lane.current == nil {
		lane.next()
	}
}

// hasGone is the answer to a command of a session that has left, or is about to.
func hasGone(id int64) protocol.Answer {
	return protocol.Refused{ID: id, Code: "NotConnected", Message: "the session has left this process"}
}
