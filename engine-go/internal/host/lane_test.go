package host

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"whatsam.io/engine/internal/protocol"
)

const limit = 10 * time.Second

// answers collects what lanes answer.
type answers struct {
	mutex sync.Mutex
	all   []protocol.Answer
	more  chan struct{}
}

func newAnswers() *answers { return &answers{more: make(chan struct{}, 1000)} }

func (answers *answers) add(answer protocol.Answer) {
	answers.mutex.Lock()
	defer answers.mutex.Unlock()
	answers.all = append(answers.all, answer)
	answers.more <- struct{}{}
}

func (answers *answers) next(t *testing.T) protocol.Answer {
	t.Helper()
	select {
	case <-answers.more:
	case <-time.After(limit):
		t.Fatal("no answer")
	}
	answers.mutex.Lock()
	defer answers.mutex.Unlock()
	return answers.all[len(answers.all)-1-len(answers.more)]
}

func open() <-chan struct{} {
	started := make(chan struct{})
	close(started)
	return started
}

func done(id int64) work {
	return func(context.Context) protocol.Answer { return protocol.Done{ID: id} }
}

// patient ends with its context; begun is closed when it runs.
func patient(id int64) (command work, begun chan struct{}) {
	begun = make(chan struct{})
	return func(ctx context.Context) protocol.Answer {
		close(begun)
		<-ctx.Done()
		return protocol.Uncertain{ID: id}
	}, begun
}

func TestCommandsOfALaneRunOneAfterAnother(t *testing.T) {
	heard := newAnswers()
	lane := newLane(heard.add, open(), newHands(), 0)
	var order []int64
	for id := range int64(50) {
		lane.put(id, "a", func(context.Context) protocol.Answer {
			order = append(order, id) // the race detector says whether two run at once
			return protocol.Done{ID: id}
		})
	}
	for range 50 {
		heard.next(t)
	}
	if !lane.waitUntilQuiet("a", limit) || !slices.IsSorted(order) || len(order) != 50 {
		t.Errorf("%v", order)
	}
}

func TestNothingBeginsBeforeTheStartAndCanBeTakenBackUntilThen(t *testing.T) {
	heard := newAnswers()
	started := make(chan struct{})
	lane := newLane(heard.add, started, newHands(), 0)
	lane.put(1, "a", done(1))
	lane.put(2, "a", done(2))
	lane.cancel(1)
	if refused, is := heard.next(t).(protocol.Refused); !is || refused.ID != 1 || refused.Code != "NotStarted" {
		t.Errorf("%v", heard.all)
	}
	close(started)
	if heard.next(t) != (protocol.Done{ID: 2}) {
		t.Errorf("%v", heard.all)
	}
}

func TestACommandThatRunsIsToldToGiveUp(t *testing.T) {
	heard := newAnswers()
	lane := newLane(heard.add, open(), newHands(), 0)
	command, begun := patient(1)
	lane.put(1, "a", command)
	lane.put(2, "a", done(2))
	<-begun
	lane.cancel(99) // somebody else's
	lane.cancel(1)
	if heard.next(t) != (protocol.Uncertain{ID: 1}) || heard.next(t) != (protocol.Done{ID: 2}) {
		t.Errorf("%v", heard.all)
	}
}

func TestOneThatDoesNotGiveUpIsLeftBehindSoManyTimes(t *testing.T) {
	heard := newAnswers()
	lane := newLane(heard.add, open(), newHands(), 1)
	release := make(chan struct{})
	stubborn := func(id int64) (work, chan struct{}) {
		begun := make(chan struct{})
		return func(context.Context) protocol.Answer {
			close(begun)
			<-release
			return protocol.Uncertain{ID: id}
		}, begun
	}
	first, firstBegun := stubborn(1)
	second, secondBegun := stubborn(2)
	lane.put(1, "a", first)
	lane.put(2, "a", second)
	lane.put(3, "a", done(3))
	<-firstBegun
	lane.cancel(1)
	<-secondBegun  // it began beside the first
	lane.cancel(2) // no other may be left behind
	if lane.waitUntilQuiet("a", time.Millisecond) {
		t.Error("idle with two commands under way")
	}
	close(release)
	for range 3 {
		heard.next(t)
	}
	if !lane.waitUntilQuiet("a", limit) || lane.spare != 1 || len(lane.running) != 0 {
		t.Errorf("spare %d, running %d", lane.spare, len(lane.running))
	}
}

func TestAllAreToldToGiveUp(t *testing.T) {
	heard := newAnswers()
	lane := newLane(heard.add, open(), newHands(), 0)
	command, begun := patient(1)
	lane.put(1, "a", command)
	<-begun
	lane.leave("a")
	if !lane.waitUntilQuiet("a", limit) || heard.next(t) != (protocol.Uncertain{ID: 1}) {
		t.Errorf("%v", heard.all)
	}
}

func TestOneSessionLeavesALaneOfMany(t *testing.T) {
	heard := newAnswers()
	lane := newLane(heard.add, open(), newHands(), 1)
	slow, slowBegun := patient(1)
	other, otherBegun := patient(2)
	lane.put(1, "a", slow)
	<-slowBegun
	lane.put(2, "b", other)
	lane.put(3, "a", done(3))
	lane.leave("a")
	<-otherBegun
	if !lane.waitUntilQuiet("a", limit) || lane.waitUntilQuiet("b", time.Millisecond) {
		t.Error("it waits for the neighbour, or the neighbour was told to give up")
	}
	if refused, is := heard.next(t).(protocol.Refused); !is || refused.ID != 3 || refused.Code != "NotConnected" {
		t.Errorf("%v", heard.all)
	}
	if heard.next(t) != (protocol.Uncertain{ID: 1}) {
		t.Errorf("%v", heard.all)
	}
	lane.leave("b")
	if !lane.waitUntilQuiet("b", limit) || heard.next(t) != (protocol.Uncertain{ID: 2}) {
		t.Errorf("%v", heard.all)
	}
}
