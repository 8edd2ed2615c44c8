package session

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/store"
)

const (
	// collectionQuiet is how long after the last change of a collection its events count as handled: they follow at once.
	collectionQuiet = 10 * time.Second
	markLimit       = 5 * time.Second
)

// The table is ours, in the session's file, so that it goes wherever the session goes. Other engines leave it alone.
const (
	marksTable = "CREATE TABLE IF NOT EXISTS whatsam_unsettled_collections (name TEXT PRIMARY KEY)"
	marksKnown = "SELECT count(*) FROM sqlite_master WHERE name = 'whatsam_unsettled_collections'"
	marksRead  = "SELECT name FROM whatsam_unsettled_collections"
	markPut    = "INSERT OR IGNORE INTO whatsam_unsettled_collections (name) VALUES (?)"
	markDelete = "DELETE FROM whatsam_unsettled_collections WHERE name = ?"
)

// collections is whatsmeow's store of app state (what was done on the phone), which also marks a collection before whatsmeow notes that it has
// read a change of it: the events come after that note, and an engine that dies between the two would never hear of the change again, nor get
// the hashes right. What is marked is read as a whole with the next connection; what was kept already has the same ids once more.
type collections struct {
	store.AppStateStore
	file *sql.DB

	mutex   sync.Mutex
	pending map[string]*time.Timer
	// owed are the collections that have to be read as a whole: until that has succeeded, a change of one settles nothing.
	owed map[string]bool
	// lost says that an event was not kept: from here on marks stay.
	lost   bool
	closed bool

	reading sync.Mutex // one reading at a time
}

func newCollections(inner store.AppStateStore, file *sql.DB) *collections {
	return &collections{AppStateStore: inner, file: file, pending: map[string]*time.Timer{}, owed: map[string]bool{}}
}

// PutAppStateVersion marks the collection first.
func (collections *collections) PutAppStateVersion(ctx context.Context, name string, version uint64, hash [128]byte) error {
	if err := collections.mark(ctx, name); err != nil {
		return fmt.Errorf("failed to mark %s: %w", name, err)
	}
	return collections.AppStateStore.PutAppStateVersion(ctx, name, version, hash)
}

func (collections *collections) mark(ctx context.Context, name string) error {
	collections.mutex.Lock()
	defer collections.mutex.Unlock()
	if timer := collections.pending[name]; timer != nil {
		timer.Reset(collectionQuiet)
		return nil
	}
	for _, statement := range []struct {
		text   string
		values []any
	}{{marksTable, nil}, {markPut, []any{name}}} {
		if _, err := collections.file.ExecContext(ctx, statement.text, statement.values...); err != nil {
			return err
		}
	}
	collections.pending[name] = time.AfterFunc(collectionQuiet, func() { collections.settle(name) })
	return nil
}

// handling says that an event is being handled: whoever waits, waits longer.
func (collections *collections) handling() {
	if collections == nil {
		return
	}
	collections.mutex.Lock()
	defer collections.mutex.Unlock()
	for _, timer := range collections.pending {
		timer.Reset(collectionQuiet)
	}
}

// loses says that an event was not kept.
func (collections *collections) loses() {
	if collections == nil {
		return
	}
	collections.mutex.Lock()
	defer collections.mutex.Unlock()
	collections.lost = true
}

// close stops all clocks; marks stay in the file.
func (collections *collections) close() {
	if collections == nil {
		return
	}
	collections.mutex.Lock()
	defer collections.mutex.Unlock()
	collections.closed = true
	for _, timer := range collections.pending {
		timer.Stop()
	}
}

func (collections *collections) settle(name string) {
	collections.mutex.Lock()
	defer collections.mutex.Unlock()
	if collections.lost || collections.closed || collections.owed[name] {
		return
	}
	delete(collections.pending, name)
	ctx, cancel := context.WithTimeout(context.Background(), markLimit)
	defer cancel()
	// A mark that stays costs one reading too many.
	_, _ = collections.file.ExecContext(ctx, markDelete, name)
}

// paid says that a collection was read as a whole: its events are just being handled.
func (collections *collections) paid(name string) {
	collections.mutex.Lock()
	defer collections.mutex.Unlock()
	delete(collections.owed, name)
	if timer := collections.pending[name]; timer != nil && !collections.closed {
		timer.Reset(collectionQuiet)
	}
}

// unsettled is what has to be read as a whole, which is owed from now on. What was lost before is among it, and forgotten.
func (collections *collections) unsettled(ctx context.Context) ([]string, error) {
	collections.mutex.Lock()
	defer collections.mutex.Unlock()
	var tables int
	if err := collections.file.QueryRowContext(ctx, marksKnown).Scan(&tables); err != nil || tables == 0 {
		return nil, err
	}
	rows, err := collections.file.QueryContext(ctx, marksRead)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err = rows.Scan(&name); err != nil {
			return nil, err
		}
		timer := collections.pending[name]
		if timer != nil && !collections.lost && !collections.owed[name] {
			continue // its events are just being handled
		}
		if timer != nil {
			timer.Stop()
			delete(collections.pending, name) // the mark stays until it was read
		}
		names = append(names, name)
	}
	if err = rows.Err(); err != nil {
		return nil, err
	}
	for _, name := range names {
		collections.owed[name] = true
	}
	collections.lost = false
	return names, nil
}

// readAgain reads what is unsettled. What cannot be read stays owed until the next connection, and keeps nothing else waiting.
func (collections *collections) readAgain(ctx context.Context, read func(name string) error) {
	collections.reading.Lock()
	defer collections.reading.Unlock()
	names, err := collections.unsettled(ctx)
	if err != nil {
		line(fmt.Sprintf("session: what was done on the phone is not read again: %T", err))
		return
	}
	for _, name := range names {
		if err = read(name); err != nil {
			line(fmt.Sprintf("session: a collection of the phone's settings will be read later: %T", err))
			continue
		}
		collections.paid(name)
	}
}

// watchCollections puts our store in the place of whatsmeow's; a device that was just paired has a new one.
func (session *session) watchCollections() {
	device := session.client.Store
	if _, is := device.AppState.(*collections); device.AppState == nil || is || device.ID == nil {
		return
	}
	made := newCollections(device.AppState, session.database.handle)
	session.collections.Store(made)
	device.AppState = made
}

// readUnsettled reads the collections again of which something may not have been kept. Called with every connection.
func (session *session) readUnsettled() {
	known := session.collections.Load()
	if known == nil {
		return
	}
	known.readAgain(session.patience, func(name string) error {
		return session.client.FetchAppState(session.patience, appstate.WAPatchName(name), true, false)
	})
}
