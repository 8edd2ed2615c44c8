package session

import (
	"sync"
	"time"
)

// activity counts the handlers of one session that run.
type activity struct {
	mutex   sync.Mutex
	running int
	idle    chan struct{} // closed and replaced whenever running comes to 0
}

func (activity *activity) begin() {
	activity.mutex.Lock()
	defer activity.mutex.Unlock()
	activity.running++
}

func (activity *activity) end() {
	activity.mutex.Lock()
	defer activity.mutex.Unlock()
	activity.running--
	if activity.running == 0 && activity.idle != nil {
		close(activity.idle)
		activity.idle = nil
	}
}

// wait returns when no handler runs, or after so long.
func (activity *activity) wait(limit time.Duration) {
	activity.mutex.Lock()
	if activity.running == 0 {
		activity.mutex.Unlock()
		return
	}
	if activity.idle == nil {
		activity.idle = make(chan struct{})
	}
	idle := activity.idle
	activity.mutex.Unlock()
	select {
	case <-idle:
	case <-time.After(limit):
	}
}
