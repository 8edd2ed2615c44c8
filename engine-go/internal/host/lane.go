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
	work work
}

// lane works off commands one at a time. It has a goroutine only while there is something to do.
type lane struct {
	answer   func(protocol.Answer)
	mayBegin <-chan struct{}

	mutex   sync.Mutex
	waiting []command
	running map[int64]context.CancelFunc
	current *int64 // what the next command waits for
	spare   int    // commands that may still be left behind unfinished
	idle    []chan struct{}
}

// newLane returns a lane whose commands begin when mayBegin is closed. So many commands as abandons may be left behind: when nobody waits for
// the running one any more, the next one begins beside it.
func newLane(answer func(protocol.Answer), mayBegin <-chan struct{}, abandons int) *lane {
	return &lane{answer: answer, mayBegin: mayBegin, spare: abandons, running: map[int64]context.CancelFunc{}}
}

// put queues a command; its answer is sent when it is done.
func (lane *lane) put(id int64, work work) {
	lane.mutex.Lock()
	defer lane.mutex.Unlock()
	lane.waiting = append(lane.waiting, command{id, work})
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
	giveUp, runs := lane.running[id]
	if !runs {
		return
	}
	giveUp()
	if lane.current != nil && *lane.current == id && lane.spare > 0 {
		lane.spare--
		lane.current = nil
		lane.next()
	}
}

// cancelAll tells everything that runs to give up.
func (lane *lane) cancelAll() {
	lane.mutex.Lock()
	defer lane.mutex.Unlock()
	for _, giveUp := range lane.running {
		giveUp()
	}
}

// waitUntilIdle waits until nothing runs and nothing waits, at most so long. Whether it came to that.
func (lane *lane) waitUntilIdle(limit time.Duration) bool {
	lane.mutex.Lock()
	if len(lane.running) == 0 && len(lane.waiting) == 0 {
		lane.mutex.Unlock()
		return true
	}
	told := make(chan struct{})
	lane.idle = append(lane.idle, told)
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

// next begins the first waiting command, if there is one. The mutex is held.
func (lane *lane) next() {
	if len(lane.waiting) == 0 {
		if len(lane.running) == 0 {
			for _, told := range lane.idle {
				close(told)
			}
			lane.idle = nil
		}
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
	lane.running[first.id] = giveUp
	lane.current = &first.id
	go lane.run(ctx, first)
}

func (lane *lane) run(ctx context.Context, one command) {
	lane.answer(one.work(ctx))
	lane.mutex.Lock()
	defer lane.mutex.Unlock()
	lane.running[one.id]()
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
