package statements

import (
	"fmt"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// lookasideBytes and lookasideCount are the small pieces of memory that SQLite keeps ready for each connection. Its own choice takes 48 KiB
	// of every session, whether it does something or not; this takes 10.
	lookasideBytes = 1200
	lookasideCount = 8
)

// SQLite takes this only before it is used for the first time. It runs as well with what it has by itself, so a refusal ends nothing: a test
// would notice.
var errLookaside = setLookaside()

func setLookaside() error {
	tls := libc.NewTLS()
	defer tls.Close()
	values := libc.NewVaList(int32(lookasideBytes), int32(lookasideCount))
	if values == 0 {
		return fmt.Errorf("no memory for SQLite's settings")
	}
	defer libc.Xfree(tls, values)
	if code := sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_LOOKASIDE, values); code != sqlite3.SQLITE_OK {
		return fmt.Errorf("SQLite does not take its settings: code %d", code)
	}
	return nil
}
