package session

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"
)

func (session *session) marked(t *testing.T) []string {
	t.Helper()
	names, err := newCollections(nil, session.database.handle).unsettled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestACollectionIsMarkedUntilItsEventsAreHandled(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	if marks := session.marked(t); len(marks) != 0 {
		t.Fatalf("%v", marks)
	}
	known := session.collections.Load()
	for version := range uint64(2) {
		if err := session.client.Store.AppState.PutAppStateVersion(t.Context(), "regular", version+1, [128]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	if marks := session.marked(t); !slices.Equal(marks, []string{"regular"}) {
		t.Errorf("an engine that dies now does not read it again: %v", marks)
	}
	if version, _, err := session.client.Store.AppState.GetAppStateVersion(t.Context(), "regular"); version != 2 || err != nil {
		t.Errorf("%d, %v", version, err)
	}
	if names, err := known.unsettled(t.Context()); len(names) != 0 || err != nil {
		t.Errorf("what is just being handled is read again: %v, %v", names, err)
	}
	known.settle("regular")
	if marks := session.marked(t); len(marks) != 0 {
		t.Errorf("%v", marks)
	}
}

func TestAChangeThatIsNotKeptLeavesItsMark(t *testing.T) {
	session, _, _ := paired(t, 100)
	if err := session.client.Store.AppState.PutAppStateVersion(t.Context(), "regular", 1, [128]byte{1}); err != nil {
		t.Fatal(err)
	}
	session.handle(message("ONE", "fills the journal"))
	session.tools.Committer.Commit()
	if session.handle(&events.Pin{JID: them, Timestamp: time.Now()}) {
		t.Fatal("a full journal has taken more")
	}
	known := session.collections.Load()
	known.settle("regular")
	if names, err := known.unsettled(t.Context()); !slices.Equal(names, []string{"regular"}) || err != nil {
		t.Errorf("%v, %v", names, err)
	}
}

func TestACollectionThatCannotBeReadNowIsReadLater(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	put := func(into store.AppStateStore, name string, version uint64) {
		t.Helper()
		if err := into.PutAppStateVersion(t.Context(), name, version, [128]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"critical_block", "regular", "regular_high"}
	for _, name := range names {
		put(session.client.Store.AppState, name, 1)
	}
	// An engine that died left these marks; this is the next one.
	next := newCollections(session.collections.Load().AppStateStore, session.database.handle)
	t.Cleanup(next.close)
	var tried []string
	next.readAgain(t.Context(), func(name string) error {
		tried = append(tried, name)
		if name != "regular_high" {
			return errors.New("no answer")
		}
		put(next, name, 2)
		return nil
	})
	slices.Sort(tried)
	if !slices.Equal(tried, names) {
		t.Errorf("one that fails keeps the others back: %v", tried)
	}
	put(next, "regular", 3) // a change of today says nothing of those that were lost
	for _, name := range names {
		next.settle(name)
	}
	if marks := session.marked(t); !slices.Equal(marks, names[:2]) {
		t.Errorf("the next engine reads %v", marks)
	}
	tried = nil
	next.readAgain(t.Context(), func(name string) error { tried = append(tried, name); put(next, name, 4); return nil })
	for _, name := range tried {
		next.settle(name)
	}
	if marks := session.marked(t); !slices.Equal(tried, names[:2]) || len(marks) != 0 {
		t.Errorf("read with the next connection: %v; still marked: %v", tried, marks)
	}
}
