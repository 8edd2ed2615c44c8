package session

import (
	"slices"
	"testing"
	"time"

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
