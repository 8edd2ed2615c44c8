package statements

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // "sqlite", what ours is compared with
)

const most = 4

// pair is the same file twice: behind the plain driver and behind ours. Each has one connection, as a session has.
type pair struct {
	plain, keeping *sql.DB
}

func newPair(t testing.TB) pair {
	t.Helper()
	options := "?_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)&_txlock=immediate"
	address := func(name string) string {
		return "file:" + (&url.URL{Path: filepath.Join(t.TempDir(), name)}).EscapedPath() + options
	}
	plain, err := sql.Open("sqlite", address("plain.db"))
	if err != nil {
		t.Fatal(err)
	}
	keeping := sql.OpenDB(NewConnector(address("keeping.db"), most))
	for _, handle := range []*sql.DB{plain, keeping} {
		handle.SetMaxOpenConns(1)
		t.Cleanup(func() { _ = handle.Close() })
	}
	return pair{plain, keeping}
}

// runner is a database, a connection of it, or a transaction.
type runner interface {
	ExecContext(ctx context.Context, text string, values ...any) (sql.Result, error)
	QueryContext(ctx context.Context, text string, values ...any) (*sql.Rows, error)
}

// did is everything that a caller can see of a statement.
type did struct {
	Failure       string
	Last, Changed int64
	Columns       []string
	Types         []string
	Rows          [][]any
}

func execute(ctx context.Context, on runner, text string, values ...any) (seen did) {
	result, err := on.ExecContext(ctx, text, values...)
	if err != nil {
		return did{Failure: err.Error()}
	}
	seen.Last, _ = result.LastInsertId()
	seen.Changed, _ = result.RowsAffected()
	return seen
}

// query reads so many rows at most and carries out inside before it reads on after the first one.
func query(ctx context.Context, on runner, atMost int, inside func(), text string, values ...any) (seen did) {
	rows, err := on.QueryContext(ctx, text, values...)
	if err != nil {
		return did{Failure: err.Error()}
	}
	seen.Columns, _ = rows.Columns()
	types, _ := rows.ColumnTypes()
	for _, each := range types {
		seen.Types = append(seen.Types, fmt.Sprint(each.DatabaseTypeName(), each.ScanType()))
	}
	for count := 0; count < atMost && rows.Next(); count++ {
		row, places := make([]any, len(seen.Columns)), make([]any, len(seen.Columns))
		for index := range row {
			places[index] = &row[index]
		}
		if err = rows.Scan(places...); err != nil {
			break
		}
		seen.Rows = append(seen.Rows, row)
		if count == 0 && inside != nil {
			inside()
		}
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		seen.Failure = err.Error()
	}
	return seen
}

// texts are statements that meet: the same table, some of which fail, change the schema, or must not be kept.
var texts = []string{
	"SELECT * FROM things ORDER BY id",
	"SELECT id, name FROM things WHERE id > ? ORDER BY id",
	"INSERT INTO things (name, part) VALUES (?, NULL)",
	"INSERT INTO things (id, name) VALUES (?, 'own id')",
	"INSERT INTO things (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET part=NULL RETURNING id, name",
	"UPDATE things SET part = ? WHERE id % 2 = 0",
	"DELETE FROM things WHERE id % 5 = ?",
	"WITH few AS (SELECT id FROM things LIMIT 3) SELECT count(*), ? FROM few",
	"REPLACE INTO things (id, name) VALUES (?, 'replaced')",
	"SELECT ?",
	"SELECT 1; SELECT id FROM things WHERE id = ?",
	"INSERT INTO things (name) VALUES ('first of two'); DELETE FROM things WHERE id = ?",
	"SELECT nothing FROM nowhere WHERE id = ?",
	"SELEKT ?",
	"-- a remark\nSELECT ?",
	"PRAGMA user_version",
	"PRAGMA foreign_keys",
	"ALTER TABLE things ADD COLUMN more TEXT DEFAULT 'x'",
	"ALTER TABLE things DROP COLUMN more",
	"DROP TABLE IF EXISTS things",
	"CREATE TABLE IF NOT EXISTS things (id INTEGER PRIMARY KEY, name TEXT UNIQUE, part INTEGER REFERENCES things (id) ON DELETE CASCADE)",
	"CREATE INDEX IF NOT EXISTS by_part ON things (part)",
	"DROP INDEX IF EXISTS by_part",
	"SELECT (SELECT name FROM things LIMIT 1) AS \"semi;colon\", ?",
	"SELECT",
}

// steps carries out what a string of bytes says on one database, and tells what was seen.
func steps(ctx context.Context, t testing.TB, handle *sql.DB, program []byte, forget func()) []did {
	t.Helper()
	var seen []did
	note := func(each did) { seen = append(seen, each) }
	next := func() byte {
		if len(program) == 0 {
			return 0
		}
		first := program[0]
		program = program[1:]
		return first
	}
	note(execute(ctx, handle, texts[20]))
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for len(program) > 0 {
		what, text, value := next()%12, texts[int(next())%len(texts)], any(int64(next()%8))
		if what%2 == 1 {
			value = fmt.Sprint("text ", value)
		}
		values := []any{value}
		switch {
		case what == 3: // one too many for some; for one that needs no table, one too few
			if text == "SELECT ?" {
				values = nil
			}
		case !strings.Contains(text, "?"):
			values = nil
		}
		switch what {
		case 0, 1, 2, 3:
			note(execute(ctx, handle, text, values...))
		case 4, 5, 6:
			atMost := int(next() % 4)
			if what == 6 {
				atMost = 1000
			}
			note(query(ctx, handle, atMost, nil, text, values...))
		case 7:
			note(execute(cancelled, handle, text, values...))
			note(query(cancelled, handle, 9, nil, text, values...))
		case 8, 9:
			// The same text, or another one, while its rows are still open.
			note(within(ctx, handle, func(on runner) {
				other := texts[int(next())%len(texts)]
				var given []any
				if strings.Contains(other, "?") {
					given = []any{value}
				}
				note(query(ctx, on, 9, func() {
					note(query(ctx, on, 2, nil, text, values...))
					note(execute(ctx, on, other, given...))
				}, text, values...))
			}, next()%2 == 0))
		case 10:
			forget()
		case 11:
			// Ends while rows are open: what is seen of it depends on the moment, what comes after it does not.
			limited, end := context.WithCancel(ctx)
			query(limited, handle, 1, end, text, values...)
			end()
		}
	}
	note(query(ctx, handle, 1000, nil, texts[0]))
	return seen
}

// within runs a transaction.
func within(ctx context.Context, handle *sql.DB, inside func(runner), commit bool) did {
	begun, err := handle.BeginTx(ctx, nil)
	if err != nil {
		return did{Failure: err.Error()}
	}
	inside(begun)
	if commit {
		err = begun.Commit()
	} else {
		err = begun.Rollback()
	}
	if err != nil {
		return did{Failure: err.Error()}
	}
	return did{}
}

func same(t testing.TB, program []byte) {
	t.Helper()
	both := newPair(t)
	plain := steps(context.Background(), t, both.plain, program, func() {})
	keeping := steps(context.Background(), t, both.keeping, program, func() {
		if err := Forget(context.Background(), both.keeping); err != nil {
			t.Fatal(err)
		}
	})
	for index := range plain {
		if !reflect.DeepEqual(plain[index], keeping[index]) {
			t.Fatalf("step %d of %v:\n%+v with the plain driver,\n%+v with ours", index, program, plain[index], keeping[index])
		}
	}
	if open := keptBy(t, both.keeping); len(open) > most {
		t.Fatalf("%d statements are kept", len(open))
	}
}

func FuzzIsThePlainDriver(f *testing.F) {
	f.Add([]byte{0, 2, 1, 6, 0, 0, 0, 17, 0, 6, 0, 0})
	f.Add([]byte{0, 2, 1, 0, 2, 2, 8, 0, 0, 1, 2, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 400 {
			t.Skip("long enough")
		}
		same(t, program)
	})
}

func TestItIsThePlainDriver(t *testing.T) {
	for seed := range uint64(12) {
		chance := rand.New(rand.NewPCG(seed, 1))
		program := make([]byte, 250)
		for index := range program {
			program[index] = byte(chance.UintN(256))
		}
		same(t, program)
	}
}

// keptBy are the texts that the connection keeps, the one used last at the end.
func keptBy(t testing.TB, handle *sql.DB) (found []string) {
	t.Helper()
	onConnection(t, handle, func(connection *connection) {
		for _, each := range connection.kept.entries {
			found = append(found, each.text)
		}
	})
	return found
}

func onConnection(t testing.TB, handle *sql.DB, inside func(*connection)) {
	t.Helper()
	borrowed, err := handle.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = borrowed.Close() }()
	_ = borrowed.Raw(func(opened any) error {
		inside(opened.(*connection))
		return nil
	})
}

func TestTheOnesUsedLastAreKept(t *testing.T) {
	handle := newPair(t).keeping
	ctx := context.Background()
	for _, text := range []string{"SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4", "SELECT 1", "SELECT 5", "PRAGMA user_version", "SELECT wrong"} {
		query(ctx, handle, 9, nil, text)
	}
	if found, want := keptBy(t, handle), []string{"SELECT 3", "SELECT 4", "SELECT 1", "SELECT 5"}; !reflect.DeepEqual(found, want) {
		t.Fatalf("kept %v, not %v", found, want)
	}
	if err := Forget(ctx, handle); err != nil {
		t.Fatal(err)
	}
	if found := keptBy(t, handle); found != nil {
		t.Fatalf("still there: %v", found)
	}
}

func TestAStatementThatFailedIsNotKept(t *testing.T) {
	handle := newPair(t).keeping
	ctx := context.Background()
	execute(ctx, handle, texts[20])
	for range 2 {
		execute(ctx, handle, "INSERT INTO things (id) VALUES (?)", 1)
	}
	if found := keptBy(t, handle); len(found) != 0 {
		t.Fatalf("kept %v", found)
	}
}

func TestRowsThatOutliveTheirConnectionsEndLeaveNothing(t *testing.T) {
	var kept kept
	kept.most = most
	kept.close()
	closed := &counting{}
	kept.give("SELECT 1", closed)
	if closed.times != 1 || kept.entries != nil {
		t.Fatal("a statement was kept by a connection that is closed")
	}
}

// counting counts how often it was closed.
type counting struct {
	plainStatement
	times int
}

func (counting *counting) Close() error {
	counting.times++
	return nil
}

func TestWhatIsKept(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT 1": true, "\n\tinsert INTO x VALUES (1)": true, "SELECT(1)": true, "WITH a AS (SELECT 1) SELECT * FROM a": true,
		"SELECT 1;": false, "SELECT ';'": false, "PRAGMA shrink_memory": false, "BEGIN": false, "": false, "SELECT": false, "EXPLAIN SELECT 1": false,
		"-- SELECT 1\nSELECT 2": false, "CREATE TABLE x (y)": false, "VACUUM": false,
	} {
		if keepable(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
