package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"whatsam.io/engine/internal/wire"
)

func text(word string) *string { return &word }

var started = SessionStart{
	UID: "u", Database: "/d/s.db", Journal: "/d/j", PairingMethod: text("QR"), JournalLimit: 1 << 28, FreeDisk: 1 << 29,
}

var messages = []ToEngine{
	Start{Sessions: []SessionStart{started, {UID: "v", JID: text("1:2@s.whatsapp.net"), Proxy: text("socks5://a:b@c:1"), Debug: true}}},
	Arm{ID: 1, Deadline: 1234.5},
	Ping{ID: 1 << 40},
	Send{ID: 3, UID: "u", To: "1@s.whatsapp.net", Message: []byte{10, 1, 'x'}, MessageID: text("3EB0")},
	Send{ID: 3, UID: "u", To: "1@s.whatsapp.net", Message: []byte{}},
	Call{ID: 4, UID: "u", Method: "lid", Arguments: `{"a":"ü"}`},
	Cancel{Target: 4}, Disconnect{ID: 5, UID: "u"}, Logout{ID: 6, UID: "u"}, Stop{},
}

func TestWhatTheSupervisorSaysIsRead(t *testing.T) {
	for _, message := range messages {
		body, err := wire.Append(nil, message)
		if err != nil {
			t.Fatal(err)
		}
		framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
		read, err := Read(bytes.NewReader(framed))
		if err != nil || !reflect.DeepEqual(read, message) {
			t.Errorf("%s became %#v, %v", body, read, err)
		}
	}
}

func TestAnythingElseIsGarbage(t *testing.T) {
	for _, body := range []string{
		``, `[]`, `null`, `1`, `"Ping"`, `{`, `{}`, `{"is":1}`, `{"is":null}`, `{"is":"Pong","id":1}`, `{"is":"Ping"}`, `{"is":"Ping","id":1,"more":2}`,
		`{"is":"Ping","id":null}`, `{"is":"Ping","id":1.5}`, `{"is":"Ping","id":true}`, `{"is":"Ping","id":"1"}`, `{"is":"Ping","id":1e2}`,
		`{"is":"Ping","id":99999999999999999999}`, `{"is":"Ping","ID":1}`, `{"is":"Ping","id":1}x`, `{"is":"Ping","id":1}{}`,
		`{"is":"Arm","id":1,"deadline":NaN}`, `{"is":"Arm","id":1,"deadline":1e999}`, `{"is":"Arm","id":1,"deadline":"1"}`,
		`{"is":"Send","id":1,"uid":"u","to":"t","message":"####","message_id":null}`,
		`{"is":"Send","id":1,"uid":"u","to":"t","message":"AA==\n","message_id":null}`,
		`{"is":"Send","id":1,"uid":"u","to":"t","message":null,"message_id":null}`,
		`{"is":"Start","sessions":{}}`, `{"is":"Start","sessions":[1]}`, `{"is":"Start","sessions":[{"is":"Ping","id":1}]}`, `{"is":"Stop","id":1}`,
		"{\"is\":\"Cancel\",\"target\":1,\"\xff\":1}", strings.Repeat("[", 100_000), `{"is":"Hello"}`,
	} {
		if message, err := Decode([]byte(body)); !errors.Is(err, ErrGarbage) {
			t.Errorf("%.60q became %#v, %v", body, message, err)
		}
	}
}

func TestALengthThatNobodySendsIsGarbage(t *testing.T) {
	for _, length := range []uint32{0, 1, MostFrameBytes + 1, 1<<32 - 1} {
		if _, err := Read(bytes.NewReader(binary.BigEndian.AppendUint32(nil, length))); !errors.Is(err, ErrGarbage) {
			t.Errorf("%d: %v", length, err)
		}
	}
}

func TestASocketThatClosesIsNoGarbage(t *testing.T) {
	whole := append(binary.BigEndian.AppendUint32(nil, 20), `{"is":"Ping","id":1}`...)
	for cut := range len(whole) {
		_, err := Read(bytes.NewReader(whole[:cut]))
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

func TestAnswersAreFramed(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, message := range map[string]ToParent{
		`{"is":"Sent","id":7,"wa_id":"3EB0","timestamp":"2026-01-02T03:04:05+00:00"}`: Sent{7, "3EB0", at},
		`{"is":"Started"}`: Started{},
		`{"is":"EventFrame","event":{"is":"JournalAdvanced","uid":"u","position":{"is":"Position","segment":2,"offset":8},"at":1.25}}`: EventFrame{
			JournalAdvanced{"u", Position{Segment: 2, Offset: 8}, 1.25}},
		`{"is":"EventFrame","event":{"is":"RetryRequested","uid":"u","chat":"c","message_ids":["a","b"]}}`: EventFrame{
			RetryRequested{"u", "c", []string{"a", "b"}}},
		`{"is":"EventFrame","event":{"is":"PairingEnded","uid":"u","reason":"timeout"}}`: EventFrame{PairingEnded{"u", PairingEndTimeout}},
	} {
		framed, err := Frame(message)
		if err != nil || string(framed[4:]) != want || int(binary.BigEndian.Uint32(framed)) != len(want) {
			t.Errorf("%s, %v", framed, err)
		}
	}
	if _, err := Frame(Result{1, strings.Repeat("x", MostFrameBytes)}); err == nil {
		t.Error("a frame that no supervisor takes was made")
	}
}

// FuzzRead: whatever comes through the socket is a message or an error, never the end of the process by itself.
func FuzzRead(f *testing.F) {
	for _, message := range messages {
		body, _ := wire.Append(nil, message)
		f.Add(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		message, err := Read(bytes.NewReader(stream))
		if (message == nil) == (err == nil) {
			t.Fatalf("%#v, %v", message, err)
		}
		if err != nil {
			return
		}
		// What was read is what the other side would write.
		body, err := wire.Append(nil, message)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Decode(body); err != nil || !reflect.DeepEqual(again, message) {
			t.Fatalf("%s became %#v, %v", body, again, err)
		}
	})
}
