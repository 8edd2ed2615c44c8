package session

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/host"
	"whatsam.io/engine/internal/journal"
	"whatsam.io/engine/internal/protocol"
)

var (
	us   = types.JID{User: "4917100000001", Device: 3, Server: types.DefaultUserServer}
	them = types.JID{User: "4917200000002", Server: types.DefaultUserServer}
)

// told is what a session said.
type told struct {
	mutex  sync.Mutex
	events []protocol.Event
}

func (told *told) emit(event protocol.Event) {
	told.mutex.Lock()
	defer told.mutex.Unlock()
	told.events = append(told.events, event)
}

func (told *told) Advanced(string, journal.Position, float64) {}
func (told *told) Full(uid string, why journal.Room) {
	told.emit(protocol.JournalFull{UID: uid, Reason: string(why)})
}
func (told *told) Failed(error) {}

// paired is a session whose file has a device; nothing of it is connected.
func paired(t *testing.T, most int64) (*session, *told, string) {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "session.db")
	opened, err := openDatabase(t.Context(), path, waLog.Noop)
	if err != nil {
		t.Fatal(err)
	}
	device := opened.container.NewDevice()
	device.ID, device.LID = &us, types.JID{User: "111", Server: types.HiddenUserServer}
	device.Account = &waAdv.ADVSignedDeviceIdentity{
		Details: []byte("d"), AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
	}
	if err = device.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	opened.close()
	writer, err := journal.Open(filepath.Join(folder, "journal"), journal.Limits{MostBytes: most})
	if err != nil {
		t.Fatal(err)
	}
	heard := &told{}
	end := func(code protocol.ExitCode, reason string) { t.Errorf("ended with %d: %s", code, reason) }
	jid := us.String()
	made := newSession(protocol.SessionStart{UID: "u", Database: path, JID: &jid}, host.Tools{
		Emit: heard.emit, End: end, Committer: journal.NewCommitter(heard), Journals: map[string]*journal.Writer{"u": writer}, Sync: journal.Always,
	})
	if err = made.open(newNetwork()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Disconnect(); made.Close(); _ = writer.Close() })
	return made, heard, filepath.Join(folder, "journal")
}

// kept is the bytes of all segments.
func kept(t *testing.T, folder string) string {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(folder, "*.segment"))
	var all strings.Builder
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

func message(id, text string) *events.Message {
	event := &events.Message{RawMessage: &waE2E.Message{Conversation: proto.String(text)}}
	event.Info.ID, event.Info.Chat, event.Info.Sender, event.Info.Timestamp = id, them, them, time.Unix(1_700_000_000, 0)
	return event.UnwrapRaw()
}

func TestAnEventIsHandledWhenTheJournalHasIt(t *testing.T) {
	session, _, folder := paired(t, 1<<20)
	if !session.handle(message("ONE", "first")) || !strings.Contains(kept(t, folder), `"wa_id":"ONE"`) {
		t.Error("handled and not kept, or not handled")
	}
	if !session.handle(&events.OfflineSyncPreview{}) {
		t.Error("an event that is nothing to keep is handled")
	}
}

func TestAFullJournalTakesNothingAndNothingIsAcknowledged(t *testing.T) {
	session, heard, folder := paired(t, 100)
	if !session.handle(message("ONE", "first")) {
		t.Fatal("there was room")
	}
	session.tools.Committer.Commit()
	if session.handle(message("TWO", "second")) || strings.Contains(kept(t, folder), "TWO") {
		t.Error("a full journal has taken more")
	}
	if len(heard.events) != 1 || heard.events[0].(protocol.JournalFull).Reason != string(journal.TooBig) {
		t.Errorf("%v", heard.events)
	}
}

func TestAfterItHasLeftNothingIsHandled(t *testing.T) {
	session, _, folder := paired(t, 1<<20)
	session.Disconnect()
	if session.handle(message("ONE", "late")) || strings.Contains(kept(t, folder), "ONE") {
		t.Error("the session has left and still takes")
	}
}

func TestAFaultInAHandlerIsNoSuccess(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	before := faults.Load()
	whole := session.database
	session.database = nil // what forgets the device's rows then panics
	handled := session.handle(&events.LoggedOut{Reason: events.ConnectFailureLoggedOut})
	session.database = whole
	if handled || faults.Load() != before+1 {
		t.Error("a panic counts as handled, or is not counted")
	}
	if !session.handle(message("ONE", "goes on")) {
		t.Error("the session does not go on")
	}
}

func TestLoggedOutIsToldWhenTheRowsAreGone(t *testing.T) {
	session, heard, _ := paired(t, 1<<20)
	if !session.handle(&events.LoggedOut{Reason: events.ConnectFailureLoggedOut, OnConnect: true}) {
		t.Fatal("not handled")
	}
	var rows int
	if err := session.database.handle.QueryRow("SELECT count(*) FROM whatsmeow_device").Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if heard.events[0] != (protocol.LoggedOut{UID: "u", Reason: "LOGGED_OUT", OnConnect: true}) {
		t.Errorf("%v", heard.events)
	}
}

func TestADeviceIsDeletedUnderThoseWhoLookIntoItsStores(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	device := session.client.Store
	done := make(chan struct{})
	go func() { // as whatsmeow does with collections; the race detector looks on
		defer close(done)
		for range 100 {
			_, _, _ = device.AppState.GetAppStateVersion(t.Context(), "regular")
		}
	}()
	err := device.Delete(t.Context())
	<-done
	var count int
	row := session.database.handle.QueryRow("SELECT count(*) FROM whatsmeow_device")
	if scanned := row.Scan(&count); !errors.Is(err, errRowsGone) || scanned != nil || count != 0 {
		t.Errorf("%v, %v, %d rows", err, scanned, count)
	}
	_, problem := session.database.handle.Exec("INSERT INTO nowhere VALUES (1)")
	session.undecryptable("ONE", problem)
	if session.failed.Load() {
		t.Error("an unlinked device is reported as a file that is broken")
	}
}

func TestPairedIsToldOnceAndBeforeConnected(t *testing.T) {
	session, heard, _ := paired(t, 1<<20)
	session.untold = true
	session.handle(&events.Connected{})
	session.handle(&events.Disconnected{})
	session.handle(&events.Connected{})
	if len(heard.events) != 4 {
		t.Fatalf("%v", heard.events)
	}
	first, isPaired := heard.events[0].(protocol.Paired)
	_, isConnected := heard.events[1].(protocol.Connected)
	if !isPaired || !isConnected || first.JID != us.String() || first.PhoneNumber != us.User || first.LID != "111@lid" || first.PushName != nil {
		t.Errorf("%v", heard.events)
	}
}

// stanza is a message as it comes off the wire, before it is decrypted.
func stanza(id string, children ...binary.Node) *binary.Node {
	return &binary.Node{
		Tag: "message", Attrs: binary.Attrs{"id": id, "from": them, "t": "1700000000", "type": "text"}, Content: children,
	}
}

func encrypted(kind string) binary.Node {
	return binary.Node{Tag: "enc", Attrs: binary.Attrs{"type": kind, "v": "2", "decrypt-fail": "hide"}}
}

func TestAMessageThatCannotBeDecryptedIsKeptBeforeItsAcknowledgement(t *testing.T) {
	session, _, folder := paired(t, 1<<20)
	log := &sessionLog{session: session}
	received, sent := log.Sub("Recv"), log.Sub("Send")
	received.Debugf("%s", stanza("BAD", encrypted("msg")))
	log.Warnf(sayBroken, "BAD", them.String(), signalerror.ErrNoSessionForUser)
	record := kept(t, folder)
	if !strings.Contains(record, `"is":"InboundUndecryptable"`) || !strings.Contains(record, `"wa_id":"BAD"`) ||
		!strings.Contains(record, `"hidden":true`) || !strings.Contains(record, `"timestamp":"2023-11-14T22:13:20+00:00"`) {
		t.Fatalf("%q", record)
	}
	// The event that comes after the acknowledgement says the same once more.
	event := &events.UndecryptableMessage{}
	event.Info.ID = "BAD"
	if !session.handle(event) || kept(t, folder) != record {
		t.Error("it is kept twice")
	}
	sent.Debugf("%s", &binary.Node{Tag: "ack", Attrs: binary.Attrs{"id": "BAD"}})
	if session.watch.stanza("BAD") != nil {
		t.Error("a stanza is remembered after its acknowledgement")
	}
}

func TestUnavailableAndNoProtobuf(t *testing.T) {
	session, _, folder := paired(t, 1<<20)
	log := &sessionLog{session: session}
	received := log.Sub("Recv")
	received.Debugf("%s", stanza("GONE", binary.Node{Tag: "unavailable"}))
	log.Warnf(sayUnavailable, "GONE", them.String(), events.UnavailableType("view_once"))
	received.Debugf("%s", stanza("OLDEST", encrypted("pkmsg")))
	received.Debugf("%s", stanza("NEWER", encrypted("pkmsg")))
	session.watch.leaves(&binary.Node{Tag: "receipt", Attrs: binary.Attrs{"id": "GONE"}})
	log.Warnf(sayNoMessage, them.String(), errors.New("no protobuf"))
	records := kept(t, folder)
	if !strings.Contains(records, `"wa_id":"GONE"`) || !strings.Contains(records, `"unavailable":true`) ||
		!strings.Contains(records, `"wa_id":"OLDEST"`) || strings.Contains(records, "NEWER") {
		t.Errorf("%q", records)
	}
}

func TestAnOldCounterIsKept(t *testing.T) {
	session, _, folder := paired(t, 1<<20)
	log := &sessionLog{session: session}
	log.Warnf(sayIgnoring, "OLD", them.String(), errors.New("something else"))
	log.Debugf(sayIgnoring, "OLD", them.String(), whatsmeow.ErrEventAlreadyProcessed)
	if strings.Contains(kept(t, folder), "OLD") {
		t.Error("what the journal has already is kept again")
	}
	log.Warnf(sayIgnoring, "OLD", them.String(), signalerror.ErrOldCounter)
	if !strings.Contains(kept(t, folder), `"already_decrypted":true`) {
		t.Error("it is not kept")
	}
}

func TestNewPrekeysAreTold(t *testing.T) {
	session, heard, _ := paired(t, 1<<20)
	(&sessionLog{session: session}).Infof(sayUploading, 30)
	if len(heard.events) != 1 || heard.events[0] != (protocol.KeysUploaded{UID: "u"}) {
		t.Errorf("%v", heard.events)
	}
}

func TestWhatIsWrittenIsNoLongerCertainlyUnsent(t *testing.T) {
	var watch watch
	written, done := watch.sends("ID")
	watch.leaves(&binary.Node{Tag: "message", Attrs: binary.Attrs{"id": "OTHER"}})
	watch.leaves(&binary.Node{Tag: "iq", Attrs: binary.Attrs{"id": "ID"}})
	if written.Load() {
		t.Error("something else was written")
	}
	watch.leaves(&binary.Node{Tag: "message", Attrs: binary.Attrs{"id": "ID"}})
	if !written.Load() {
		t.Error("it was written")
	}
	done()
	if len(watch.writing) != 0 {
		t.Error("it is watched for ever")
	}
}

func TestRefusalsOfWhatWasNotWritten(t *testing.T) {
	for code, err := range map[string]error{
		"NotConnected":     errors.Join(errors.New("failed to send message node"), whatsmeow.ErrNotConnected),
		"UnknownRecipient": errors.New("no LID found for 1@s.whatsapp.net from server"),
		"NotSent":          context.DeadlineExceeded,
	} {
		if refused := notSent(1, err).(protocol.Refused); refused.Code != code {
			t.Errorf("%v: %v", err, refused)
		}
	}
}

func TestNotConnected(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	for _, answer := range []protocol.Answer{
		session.Send(t.Context(), protocol.Send{ID: 1, UID: "u", To: them.String()}),
		session.Call(t.Context(), protocol.Call{ID: 1, UID: "u", Method: "lid", Arguments: "{}"}),
		session.Logout(t.Context(), protocol.Logout{ID: 1, UID: "u"}),
	} {
		if refused, is := answer.(protocol.Refused); !is || refused.Code != "NotConnected" {
			t.Errorf("%v", answer)
		}
	}
}

func TestAClosedFileIsOnePlainFile(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	if _, err := os.Stat(session.start.Database + "-wal"); err != nil {
		t.Errorf("no write-ahead log while it runs: %v", err)
	}
	session.Disconnect()
	session.Close()
	session.Close()
	for _, side := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Stat(session.start.Database + side); err == nil {
			t.Errorf("%s is left", side)
		}
	}
	content, err := os.ReadFile(session.start.Database)
	if err != nil || content[18] != 1 || content[19] != 1 {
		t.Error("only engines with a write-ahead log can open it")
	}
}

func TestADeviceThatIsNotThere(t *testing.T) {
	other := "499@s.whatsapp.net"
	for want, start := range map[string]protocol.SessionStart{
		"does not hold its device": {JID: &other},
		"no pairing was asked for": {},
	} {
		start.UID, start.Database = "u", filepath.Join(t.TempDir(), "a b?#%.db")
		made := newSession(start, host.Tools{})
		if err := made.open(newNetwork()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
		if _, err := os.Stat(start.Database); err != nil {
			t.Errorf("the file has another name: %v", err)
		}
		made.Close()
	}
}

func TestPragmas(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "busy_timeout": "5000", "cache_size": "-128",
	} {
		var got string
		if err := session.database.handle.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v", pragma, got, err)
		}
	}
	var _ *sql.DB = session.database.handle
}

func TestRedaction(t *testing.T) {
	for _, secret := range []string{
		"4917200000002@s.whatsapp.net", "+4917200000002", `"a text"`, "https://wa.me/settings/linked_devices#2@abc,def", "socks5://user:word@host",
		"0123456789abcdef0123456789abcdef",
	} {
		if shown := redact("before " + secret + " after"); strings.Contains(shown, secret) || !strings.HasPrefix(shown, "before ") {
			t.Errorf("%q", shown)
		}
	}
}
