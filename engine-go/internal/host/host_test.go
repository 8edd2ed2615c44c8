package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"whatsam.io/engine/internal/journal"
	"whatsam.io/engine/internal/protocol"
	"whatsam.io/engine/internal/wire"
)

// fakeSession does what a test wants; its journal is a real one.
type fakeSession struct {
	uid          string
	tools        Tools
	mutex        sync.Mutex
	disconnected int
	closed       int
	hold         chan struct{} // a send waits for it, or for its context
	panics       bool
	// What a call goes through: it begins, gives up with its context, and ends when it may.
	begun, gaveUp, mayEnd chan struct{}
	file                  []string // who used the session's file; the race detector says whether two did at once
}

func (session *fakeSession) Send(ctx context.Context, request protocol.Send) protocol.Answer {
	if session.panics {
		panic("a text that must not be told")
	}
	if session.hold != nil {
		select {
		case <-session.hold:
		case <-ctx.Done():
			return protocol.Uncertain{ID: request.ID, Message: "gave up"}
		}
	}
	return protocol.Sent{ID: request.ID, WaID: request.To, Timestamp: time.Unix(1, 0)}
}

func (session *fakeSession) Call(ctx context.Context, request protocol.Call) protocol.Answer {
	if session.mayEnd != nil {
		close(session.begun)
		<-ctx.Done()
		close(session.gaveUp)
		<-session.mayEnd
		session.file = append(session.file, "call")
	}
	return protocol.Result{ID: request.ID, Value: request.Arguments}
}

func (session *fakeSession) slowCalls() {
	session.begun, session.gaveUp, session.mayEnd = make(chan struct{}), make(chan struct{}), make(chan struct{})
}

func (session *fakeSession) Logout(_ context.Context, request protocol.Logout) protocol.Answer {
	return protocol.Done{ID: request.ID}
}

func (session *fakeSession) Disconnect() {
	session.mutex.Lock()
	defer session.mutex.Unlock()
	session.disconnected++
}

func (session *fakeSession) Close() {
	session.mutex.Lock()
	defer session.mutex.Unlock()
	session.closed++
	if session.mayEnd != nil {
		session.file = append(session.file, "close")
	}
}

func (session *fakeSession) counts() (disconnected, closed int) {
	session.mutex.Lock()
	defer session.mutex.Unlock()
	return session.disconnected, session.closed
}

type fakeEngine struct {
	prepare func(*fakeSession)
	mutex   sync.Mutex
	started map[string]*fakeSession
}

// sessions are those that were started.
func (engine *fakeEngine) sessions() map[string]*fakeSession {
	engine.mutex.Lock()
	defer engine.mutex.Unlock()
	return engine.started
}

func (engine *fakeEngine) Start(starts []protocol.SessionStart, tools Tools) map[string]Session {
	engine.mutex.Lock()
	defer engine.mutex.Unlock()
	engine.started = map[string]*fakeSession{}
	made := map[string]Session{}
	for _, start := range starts {
		session := &fakeSession{uid: start.UID, tools: tools}
		if engine.prepare != nil {
			engine.prepare(session)
		}
		engine.started[start.UID], made[start.UID] = session, session
	}
	return made
}

type fakeFence struct{ armed chan float64 }

func (fence fakeFence) Arm(deadline float64) error {
	fence.armed <- deadline
	return nil
}

// parent is a supervisor with one engine process, which is a goroutine here.
type parent struct {
	t      *testing.T
	socket net.Conn
	engine *fakeEngine
	fence  fakeFence
	codes  chan int
	folder string
}

func launch(t *testing.T, prepare func(*fakeSession)) *parent {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	made := &parent{
		t: t, socket: ours, engine: &fakeEngine{prepare: prepare}, fence: fakeFence{make(chan float64, 10)}, codes: make(chan int, 1),
		folder: t.TempDir(),
	}
	ending := &Ending{exit: func(code int) { made.codes <- code }}
	go New(Settings{
		Link: NewLink(theirs, ending), Fence: made.fence, Ending: ending, Engine: made.engine, Sync: journal.Always, Journal: journal.Open,
		Hello: protocol.Hello{Version: protocol.Version, Engine: "fake"},
	}).Serve()
	if made.hear()["is"] != "Hello" {
		t.Fatal("no hello")
	}
	return made
}

func (parent *parent) say(messages ...protocol.ToEngine) {
	parent.t.Helper()
	for _, message := range messages {
		body, err := wire.Append(nil, message)
		if err != nil {
			parent.t.Fatal(err)
		}
		if _, err = parent.socket.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
			parent.t.Fatal(err)
		}
	}
}

func (parent *parent) hear() map[string]any {
	parent.t.Helper()
	_ = parent.socket.SetReadDeadline(time.Now().Add(limit))
	var prefix [4]byte
	if _, err := io.ReadFull(parent.socket, prefix[:]); err != nil {
		parent.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(prefix[:]))
	if _, err := io.ReadFull(parent.socket, body); err != nil {
		parent.t.Fatal(err)
	}
	var message map[string]any
	if err := json.Unmarshal(body, &message); err != nil {
		parent.t.Fatal(err)
	}
	return message
}

// hearUntil skips to the first message of a name, or event of a name.
func (parent *parent) hearUntil(name string) map[string]any {
	parent.t.Helper()
	for {
		message := parent.hear()
		if message["is"] == name {
			return message
		}
		if event, is := message["event"].(map[string]any); is && event["is"] == name {
			return event
		}
	}
}

func (parent *parent) ends(code protocol.ExitCode) {
	parent.t.Helper()
	select {
	case ended := <-parent.codes:
		if ended != int(code) {
			parent.t.Errorf("ended with %d, not %d", ended, code)
		}
	case <-time.After(limit):
		parent.t.Errorf("it goes on instead of ending with %d", code)
	}
}

func (parent *parent) start(uids ...string) {
	parent.t.Helper()
	parent.say(parent.request(uids...))
	parent.hearUntil("Started")
}

func (parent *parent) request(uids ...string) protocol.Start {
	var start protocol.Start
	for _, uid := range uids {
		start.Sessions = append(start.Sessions, protocol.SessionStart{
			UID: uid, Database: filepath.Join(parent.folder, uid+".db"), Journal: filepath.Join(parent.folder, uid), JournalLimit: 1 << 20,
		})
	}
	return start
}

func TestPingArmAndCommands(t *testing.T) {
	parent := launch(t, nil)
	parent.say(protocol.Ping{ID: 1}, protocol.Arm{ID: 2, Deadline: 77})
	if parent.hear()["id"] != 1.0 || parent.hear()["id"] != 2.0 || <-parent.fence.armed != 77 {
		t.Error("ping and arm are not answered before the start")
	}
	parent.start("a", "b")
	parent.say(protocol.Send{ID: 3, UID: "b", To: "1@lid", Message: []byte{}})
	if sent := parent.hear(); sent["is"] != "Sent" || sent["wa_id"] != "1@lid" {
		t.Errorf("%v", sent)
	}
	parent.say(protocol.Call{ID: 4, UID: "a", Method: "lid", Arguments: "{}"})
	if result := parent.hear(); result["is"] != "Result" || result["value"] != "{}" {
		t.Errorf("%v", result)
	}
	parent.say(protocol.Logout{ID: 5, UID: "a"})
	if parent.hear()["is"] != "Done" {
		t.Error("no logout")
	}
	for message, code := range map[protocol.ToEngine]string{
		protocol.Call{ID: 6, UID: "a", Method: "fly", Arguments: "{}"}: "Unsupported",
		protocol.Call{ID: 6, UID: "x", Method: "lid", Arguments: "{}"}: "UnknownSession",
		protocol.Logout{ID: 6, UID: "x"}:                               "UnknownSession",
		protocol.Disconnect{ID: 6, UID: "x"}:                           "UnknownSession",
	} {
		parent.say(message)
		if refused := parent.hear(); refused["is"] != "Refused" || refused["code"] != code {
			t.Errorf("%v: %v", message, refused)
		}
	}
}

func TestTheProcessEndsWithItsLastSession(t *testing.T) {
	parent := launch(t, nil)
	parent.start("a", "b")
	parent.say(protocol.Disconnect{ID: 1, UID: "a"})
	if parent.hear()["is"] != "Done" {
		t.Error("not left")
	}
	reopened, err := journal.Open(filepath.Join(parent.folder, "a"), journal.Limits{MostBytes: 1 << 20})
	if err != nil {
		t.Fatalf("its journal was not given back: %v", err)
	}
	_ = reopened.Close()
	parent.say(protocol.Send{ID: 2, UID: "a", To: "1@lid", Message: []byte{}})
	if parent.hear()["code"] != "NotConnected" {
		t.Error("it has left and still sends")
	}
	parent.say(protocol.Disconnect{ID: 3, UID: "a"}, protocol.Disconnect{ID: 4, UID: "b"})
	parent.hearUntil("Done")
	parent.hearUntil("Done")
	parent.ends(protocol.Clean)
	for uid, session := range parent.engine.sessions() {
		if _, closed := session.counts(); closed != 1 {
			t.Errorf("the file of %s was given back %d times", uid, closed)
		}
	}
}

func TestAMessageUnderWayGivesUpWhenItsSessionLeaves(t *testing.T) {
	parent := launch(t, func(session *fakeSession) { session.hold = make(chan struct{}) })
	parent.start("a", "b")
	parent.say(protocol.Send{ID: 1, UID: "a", To: "1@lid", Message: []byte{}}, protocol.Disconnect{ID: 2, UID: "a"})
	answers := map[any]any{}
	for range 2 {
		answer := parent.hear()
		answers[answer["id"]] = answer["is"]
	}
	if answers[2.0] != "Done" || answers[1.0] != "Uncertain" && answers[1.0] != "Refused" {
		t.Errorf("%v", answers)
	}
}

func TestTheFileStaysOpenUntilWhatUsesItHasEnded(t *testing.T) {
	for _, ending := range []protocol.ToEngine{protocol.Disconnect{ID: 2, UID: "a"}, protocol.Stop{}} {
		for _, method := range []string{"lid", "upload"} {
			parent := launch(t, func(session *fakeSession) {
				if session.uid == "a" {
					session.slowCalls()
				}
			})
			parent.start("a", "b")
			session := parent.engine.sessions()["a"]
			parent.say(protocol.Call{ID: 1, UID: "a", Method: method, Arguments: "{}"})
			<-session.begun
			parent.say(ending)
			select {
			case <-session.gaveUp:
			case <-time.After(limit):
				t.Fatalf("%s is not told to give up", method)
			}
			if _, closed := session.counts(); closed != 0 {
				t.Errorf("the file was closed under %s", method)
			}
			close(session.mayEnd)
			if answer := parent.hear(); answer["is"] != "Result" {
				t.Errorf("%v", answer)
			}
			if _, leaves := ending.(protocol.Disconnect); leaves {
				if parent.hear()["is"] != "Done" {
					t.Error("not left")
				}
			} else {
				parent.ends(protocol.Clean)
			}
			session.mutex.Lock()
			used := session.file
			session.mutex.Unlock()
			if !slices.Equal(used, []string{"call", "close"}) {
				t.Errorf("%s: %v", method, used)
			}
		}
	}
}

func TestALookupThatDoesNotEndKeepsNobodyInTheProcess(t *testing.T) {
	parent := launch(t, (*fakeSession).slowCalls)
	parent.start("a", "b")
	parent.say(protocol.Call{ID: 1, UID: "a", Method: "lid", Arguments: "{}"})
	<-parent.engine.sessions()["a"].begun
	parent.say(protocol.Disconnect{ID: 2, UID: "a"})
	if answer := parent.hear(); answer["is"] != "Done" || answer["id"] != 2.0 {
		t.Errorf("%v", answer)
	}
}

func TestCancelReachesARunningCommand(t *testing.T) {
	parent := launch(t, func(session *fakeSession) { session.hold = make(chan struct{}) })
	parent.start("a")
	parent.say(protocol.Send{ID: 1, UID: "a", To: "1@lid", Message: []byte{}}, protocol.Send{ID: 2, UID: "a", To: "2@lid", Message: []byte{}})
	parent.say(protocol.Cancel{Target: 2}, protocol.Cancel{Target: 1}, protocol.Cancel{Target: 9})
	if first := parent.hear(); first["id"] != 2.0 || first["code"] != "NotStarted" {
		t.Errorf("%v", first)
	}
	if second := parent.hear(); second["id"] != 1.0 || second["is"] != "Uncertain" {
		t.Errorf("%v", second)
	}
}

func TestAPanicOfACommandIsItsAnswer(t *testing.T) {
	parent := launch(t, func(session *fakeSession) { session.panics = session.uid == "a" })
	parent.start("a", "b")
	parent.say(protocol.Send{ID: 1, UID: "a", To: "1@lid", Message: []byte{}})
	if answer := parent.hear(); answer["is"] != "Uncertain" || answer["message"] != "a fault of the engine: string" {
		t.Errorf("%v", answer)
	}
	parent.say(protocol.Send{ID: 2, UID: "b", To: "1@lid", Message: []byte{}})
	if parent.hear()["is"] != "Sent" {
		t.Error("the other session does not go on")
	}
}

func TestStop(t *testing.T) {
	parent := launch(t, nil)
	parent.start("a", "b")
	parent.say(protocol.Stop{})
	parent.ends(protocol.Clean)
	for uid, session := range parent.engine.sessions() {
		if disconnected, closed := session.counts(); disconnected != 1 || closed != 1 {
			t.Errorf("%s: %d, %d", uid, disconnected, closed)
		}
	}
}

func TestTheLastWordsAreHeard(t *testing.T) {
	parent := launch(t, nil)
	parent.start("a")
	writer := parent.engine.sessions()["a"].tools.Journals["a"]
	position, err := writer.Append(note{})
	if err != nil {
		t.Fatal(err)
	}
	parent.engine.sessions()["a"].tools.Committer.Touch("a", writer, 3.5)
	parent.say(protocol.Stop{})
	advanced := parent.hearUntil("JournalAdvanced")
	place, _ := advanced["position"].(map[string]any)
	if advanced["at"] != 3.5 || place["offset"] != float64(position.Offset) {
		t.Errorf("%v", advanced)
	}
	parent.ends(protocol.Clean)
}

type note struct{}

func (note) Name() string { return "note" }
func (note) Blob() []byte { return bytes.Repeat([]byte("x"), 1000) }

func TestAFullJournalIsToldAndItsSessionHangsUp(t *testing.T) {
	parent := launch(t, nil)
	request := parent.request("a", "b")
	request.Sessions[0].JournalLimit = 100
	parent.say(request)
	parent.hearUntil("Started")
	session := parent.engine.sessions()["a"]
	if _, err := session.tools.Journals["a"].Append(note{}); err != nil {
		t.Fatal(err)
	}
	session.tools.Committer.Touch("a", session.tools.Journals["a"], 1)
	if full := parent.hearUntil("JournalFull"); full["uid"] != "a" || full["reason"] != string(journal.TooBig) {
		t.Errorf("%v", full)
	}
	parent.say(protocol.Disconnect{ID: 1, UID: "a"})
	parent.hearUntil("Done")
}

func TestAJournalOfAnotherProcess(t *testing.T) {
	parent := launch(t, nil)
	held, err := journal.Open(filepath.Join(parent.folder, "a"), journal.Limits{MostBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	parent.say(parent.request("a", "b"))
	if failure := parent.hearUntil("ConnectFailure"); failure["uid"] != "a" {
		t.Errorf("%v", failure)
	}
	parent.hearUntil("Started")
	parent.say(protocol.Disconnect{ID: 1, UID: "a"}, protocol.Disconnect{ID: 2, UID: "b"})
	parent.ends(protocol.Clean)

	alone := launch(t, nil)
	alone.folder = parent.folder
	alone.say(alone.request("a"))
	alone.ends(protocol.JournalFailed)
}

func TestWhatEndsTheProcess(t *testing.T) {
	for name, does := range map[string]struct {
		what func(*parent)
		code protocol.ExitCode
	}{
		"garbage":      {func(parent *parent) { _, _ = parent.socket.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }, protocol.ProtocolError},
		"closed":       {func(parent *parent) { _ = parent.socket.Close() }, protocol.ParentGone},
		"started anew": {func(parent *parent) { parent.start("a"); parent.say(parent.request("b")) }, protocol.ProtocolError},
		"nothing":      {func(parent *parent) { parent.say(protocol.Start{}) }, protocol.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			parent := launch(t, nil)
			does.what(parent)
			parent.ends(does.code)
		})
	}
}

func TestMain(m *testing.M) {
	os.Stderr, _ = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	os.Exit(m.Run())
}
