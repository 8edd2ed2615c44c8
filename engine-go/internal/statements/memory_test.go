package statements

import (
	"context"
	"database/sql/driver"
	"testing"

	"modernc.org/sqlite"
)

// slots is how many pieces of memory SQLite makes of lookasideBytes × lookasideCount: few large ones and more small ones.
const slots = 24

func TestAConnectionKeepsLittleMemoryReady(t *testing.T) {
	if errLookaside != nil {
		t.Fatal(errLookaside)
	}
	handle := newPair(t).keeping
	borrowed, err := handle.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = borrowed.Close() }()
	const text = "WITH a(x) AS (SELECT 1 UNION ALL SELECT 2), b AS (SELECT x + 1 AS y, x * 2 AS z FROM a WHERE x > 0 ORDER BY x) " +
		"SELECT y, count(z) FROM b JOIN a ON a.x < b.y WHERE y IN (1, 2, 3, 4) GROUP BY y HAVING count(z) > 0 ORDER BY z"
	if _, err = borrowed.ExecContext(context.Background(), text); err != nil {
		t.Fatal(err)
	}
	err = borrowed.Raw(func(opened any) error {
		counts, is := opened.(*connection).plainConnection.(sqlite.DBStatus)
		if !is {
			return driver.ErrBadConn
		}
		_, most, err := counts.Status(sqlite.DBStatusLookasideUsed, false)
		if err == nil && (most == 0 || most > slots) {
			t.Fatalf("%d pieces were in use at once, there should be %d", most, slots)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
