package journal

import (
	"sync"
	"time"
)

// Policy says when a record is synced to disk.
type Policy string

// The policies of the flag --journal-sync.
const (
	// Always syncs before WhatsApp gets its acknowledgement: a power cut loses nothing.
	Always Policy = "always"
	// System leaves it to the committer, within NewsEvery: the death of the process loses nothing, a power cut what was acknowledged
	// meanwhile.
	System Policy = "os"
)

// NewsEvery is the longest time between an append and the news of it, apart from the sync itself.
const NewsEvery = 5 * time.Millisecond

// News is what a committer tells.
type News interface {
	// Advanced says that what was appended up to position is on disk; last is when the newest message was handled (Monotonic), 0 for none.
	Advanced(uid string, position Position, last float64)
	// Full is called once for a session whose journal must not grow any more. It must return at once.
	Full(uid string, why Room)
	// Failed says that a disk refuses: nothing may be acknowledged from here on.
	Failed(err error)
}

// Committer tells the news about the journals of one process. Whoever needs a record on disk before it goes on calls Writer.Commit itself.
type Committer struct {
	news News
	wake chan struct{}

	committing sync.Mutex
	mutex      sync.Mutex
	changed    map[string]*Writer
	last       map[string]float64
	full       map[string]bool
}

// NewCommitter returns a committer; Run has to be called.
func NewCommitter(news News) *Committer {
	return &Committer{
		news: news, wake: make(chan struct{}, 1),
		changed: map[string]*Writer{}, last: map[string]float64{}, full: map[string]bool{},
	}
}

// Touch says that an inbound event of a session was handled just now. message is when, for one whose decryption has changed the session's
// file, else 0.
func (committer *Committer) Touch(uid string, writer *Writer, message float64) {
	committer.mutex.Lock()
	if message > 0 {
		committer.last[uid] = message
	}
	committer.changed[uid] = writer
	committer.mutex.Unlock()
	select {
	case committer.wake <- struct{}{}:
	default:
	}
}

// IsFull says whether a session's journal takes nothing more.
func (committer *Committer) IsFull(uid string) bool {
	committer.mutex.Lock()
	defer committer.mutex.Unlock()
	return committer.full[uid]
}

// Run tells the news for ever.
func (committer *Committer) Run() {
	for range committer.wake {
		time.Sleep(NewsEvery) // gathers what else arrives in this time
		committer.Commit()
	}
}

// Commit syncs everything that has changed and tells of it.
func (committer *Committer) Commit() {
	committer.committing.Lock()
	defer committer.committing.Unlock()
	committer.mutex.Lock()
	changed := committer.changed
	committer.changed = map[string]*Writer{}
	last := make(map[string]float64, len(changed))
	for uid := range changed {
		last[uid] = committer.last[uid]
	}
	committer.mutex.Unlock()
	for uid, writer := range changed {
		position, err := writer.Sync()
		if err != nil {
			committer.news.Failed(err)
			return
		}
		committer.news.Advanced(uid, position, last[uid])
		if why := writer.Room(); why != Take && committer.markFull(uid) {
			committer.news.Full(uid, why)
		}
	}
}

// Leave syncs and tells a session's last records, and gives its journal back.
func (committer *Committer) Leave(uid string, writer *Writer) {
	committer.Commit()
	committer.committing.Lock()
	defer committer.committing.Unlock()
	committer.mutex.Lock()
	delete(committer.changed, uid)
	delete(committer.last, uid)
	committer.mutex.Unlock()
	if err := writer.Close(); err != nil {
		committer.news.Failed(err)
	}
}

// markFull reports whether the session's journal was not full before.
func (committer *Committer) markFull(uid string) bool {
	committer.mutex.Lock()
	defer committer.mutex.Unlock()
	if committer.full[uid] {
		return false
	}
	committer.full[uid] = true
	return true
}
