package host

import "time"

// linger is how long a goroutine that has nothing to do waits for more.
const linger = time.Second

// hands carry out commands, each in a goroutine that may have carried out others before. To send a message needs a stack of 32 KiB; a goroutine
// of its own for each would begin with 2 and grow, which costs more than some of the statements on the way.
type hands struct{ waiting chan func() }

func newHands() *hands { return &hands{make(chan func())} }

// do carries it out beside the caller.
func (hands *hands) do(work func()) {
	select {
	case hands.waiting <- work:
	default:
		go hands.live(work)
	}
}

func (hands *hands) live(work func()) {
	idle := time.NewTimer(linger)
	defer idle.Stop()
	for {
		work()
		work = nil // what it holds may be large
		idle.Reset(linger)
		select {
		case work = <-hands.waiting:
		case <-idle.C:
			return
		}
	}
}
