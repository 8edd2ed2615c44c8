package journal

import (
	"sync"
	"testing"
	"time"
)

type told struct {
	mutex    sync.Mutex
	position map[string]Position
	last     map[string]float64
	full     []string
	failed   []error
	more     chan struct{}
}

func newTold() *told {
	return &told{position: map[string]Position{}, last: map[string]float64{}, more: make(chan struct{}, 1000)}
}

func (told *told) Advanced(uid string, position Position, last float64) {
	told.mutex.Lock()
	defer told.mutex.Unlock()
	told.position[uid], told.last[uid] = position, last
	told.more <- struct{}{}
}

func (told *told) Full(uid string, _ Room) {
	told.mutex.Lock()
	defer told.mutex.Unlock()
	told.full = append(told.full, uid)
}

func (told *told) Failed(err error) {
	told.mutex.Lock()
	defer told.mutex.Unlock()
	told.failed = append(told.failed, err)
}

func TestNewsOfWhatWasAppended(t *testing.T) {
	news := newTold()
	committer := NewCommitter(news)
	go committer.Run()
	writer := opened(t, t.TempDir(), roomy)
	position := appended(t, writer, numbered(1))
	committer.Touch("u", writer, 12.5)
	committer.Touch("u", writer, 0) // a receipt: the newest message stays what it was
	select {
	case <-news.more:
	case <-time.After(10 * time.Second):
		t.Fatal("no news")
	}
	committer.Commit()
	news.mutex.Lock()
	defer news.mutex.Unlock()
	if news.position["u"] != position || news.last["u"] != 12.5 || len(news.full) > 0 || len(news.failed) > 0 {
		t.Errorf("%v %v %v %v", news.position, news.last, news.full, news.failed)
	}
}

func TestAFullJournalIsToldOnceAndRefusesFromThenOn(t *testing.T) {
	news := newTold()
	committer := NewCommitter(news)
	writer := opened(t, t.TempDir(), Limits{MostBytes: 10})
	for range 3 {
		appended(t, writer, numbered(1))
		committer.Touch("u", writer, 1)
		committer.Commit()
	}
	if len(news.full) != 1 || !committer.IsFull("u") || committer.IsFull("v") {
		t.Errorf("%v", news.full)
	}
}

func TestLeavingTellsTheLastRecordsAndGivesTheJournalBack(t *testing.T) {
	news := newTold()
	committer := NewCommitter(news)
	folder := t.TempDir()
	writer := opened(t, folder, roomy)
	position := appended(t, writer, numbered(1))
	committer.Touch("u", writer, 1)
	committer.Leave("u", writer)
	if news.position["u"] != position {
		t.Errorf("%v", news.position)
	}
	opened(t, folder, roomy)
}

func TestADiskThatRefusesIsTold(t *testing.T) {
	news := newTold()
	committer := NewCommitter(news)
	writer := opened(t, t.TempDir(), roomy)
	appended(t, writer, numbered(1))
	_ = writer.file.Close() // what fdatasync then says stands for a disk that fails
	committer.Touch("u", writer, 1)
	committer.Commit()
	if len(news.failed) != 1 || len(news.position) != 0 {
		t.Errorf("%v %v", news.failed, news.position)
	}
}
