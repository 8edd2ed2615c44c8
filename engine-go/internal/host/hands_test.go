package host

import (
	"sync"
	"testing"
	"time"
)

func TestHandsCarryOutEverythingAndGo(t *testing.T) {
	hands := newHands()
	var all sync.WaitGroup
	var mutex sync.Mutex
	seen := map[int]int{}
	for round := range 20 {
		all.Add(10)
		for number := range 10 {
			hands.do(func() {
				defer all.Done()
				mutex.Lock()
				defer mutex.Unlock()
				seen[round*10+number]++
			})
		}
		all.Wait()
	}
	for number := range 200 {
		if seen[number] != 1 {
			t.Fatalf("%d was carried out %d times", number, seen[number])
		}
	}
	// When all have gone, nobody takes more.
	latest := time.Now().Add(limit)
	for taken := true; taken; {
		if time.Now().After(latest) {
			t.Fatal("a goroutine that has nothing to do stays")
		}
		time.Sleep(2 * linger)
		select {
		case hands.waiting <- func() {}:
		default:
			taken = false
		}
	}
}

func TestWorkThatWaitsHoldsUpNoOther(t *testing.T) {
	hands := newHands()
	release, done := make(chan struct{}), make(chan struct{})
	hands.do(func() { <-release })
	hands.do(func() { close(done) })
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatal("it waits for the other one")
	}
	close(release)
}
