package session

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"

	"whatsam.io/engine/internal/statements"
)

const (
	openLimit  = 30 * time.Second
	closeLimit = 3 * time.Second
	// cacheKiB is how much of the file SQLite keeps in memory for one session while it is busy (see tidyForEver).
	cacheKiB = 128
	// keptStatements is how many compiled statements a session keeps while it is busy: sending and receiving use some twenty.
	keptStatements = 32
	// lockWait is how long a statement waits for the shipper's copy of the file.
	lockWait = 5 * time.Second
)

// database is one session's file, in the format of whatsmeow's own store.
type database struct {
	handle    *sql.DB
	container *sqlstore.Container
}

// openDatabase opens or creates the file. Write-ahead log, so that a copy can be made while the session writes; synced at checkpoints, which
// keeps the file sound: what a power cut takes away is the newest keys, and the journal still has what WhatsApp got an acknowledgement for.
func openDatabase(ctx context.Context, path string, log waLog.Logger) (*database, error) {
	values := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", lockWait.Milliseconds()), "foreign_keys(1)", "journal_mode(WAL)", "synchronous(NORMAL)",
			fmt.Sprintf("cache_size(-%d)", cacheKiB), "mmap_size(0)",
		},
	}
	handle := sql.OpenDB(statements.NewConnector("file:"+(&url.URL{Path: path}).EscapedPath()+"?"+values.Encode(), keptStatements))
	// One connection: SQLite has one writer anyway, and every connection costs memory.
	handle.SetMaxOpenConns(1)
	opened := &database{handle, sqlstore.NewWithDB(handle, "sqlite3", log)}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	if err := opened.container.Upgrade(ctx); err != nil {
		_ = handle.Close()
		return nil, err
	}
	return opened, nil
}

// device is the device of this name, nil when the file does not hold it; without a name the one in the file, or a new one.
func (database *database) device(ctx context.Context, name *string) (*store.Device, error) {
	if name == nil {
		return database.container.GetFirstDevice(ctx)
	}
	jid, err := types.ParseJID(*name)
	if err != nil {
		return nil, err
	}
	return database.container.GetDevice(ctx, jid)
}

// forget deletes a device's rows; those that hang on it go with it.
func (database *database) forget(ctx context.Context, jid types.JID) error {
	_, err := database.handle.ExecContext(ctx, "DELETE FROM whatsmeow_device WHERE jid = ?", jid.String())
	return err
}

// close leaves one plain file behind that any engine can open, unless somebody is reading it right now: then the log stays beside it, empty.
func (database *database) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	for _, pragma := range []string{"busy_timeout = 200", "wal_checkpoint(TRUNCATE)", "journal_mode = DELETE"} {
		// A reader is no failure, and whatever else is wrong shows when the file is opened again.
		if rows, err := database.handle.QueryContext(ctx, "PRAGMA "+pragma); err == nil {
			_ = rows.Close()
		}
	}
	_ = database.handle.Close()
}
