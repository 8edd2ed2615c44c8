package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"whatsam.io/engine/internal/inbound"
	"whatsam.io/engine/internal/journal"
)

func TestWhatAHandlerStumblesOverTwiceIsKeptAsUnreadable(t *testing.T) {
	session, _, folder := paired(t, 1<<20)
	poison := message("ONE", "poison")
	if session.stumble(poison, "problem") || strings.Contains(kept(t, folder), "InboundUnreadable") {
		t.Error("the first time it comes again")
	}
	if session.stumble(message("TWO", "another"), "problem") {
		t.Error("another event has its own first time")
	}
	if !session.stumble(poison, "problem") || strings.Count(kept(t, folder), "InboundUnreadable") != 1 {
		t.Error("the second time it is kept, and nobody waits for it any more")
	}
}

func TestPausesGrow(t *testing.T) {
	var stumbles stumbles
	now := time.Now()
	for _, want := range []time.Duration{1, 2, 4, 8} {
		pause, mine := stumbles.wait(time.Second, now)
		if !mine || pause != want*time.Second {
			t.Errorf("%v, %v; want %v s", pause, mine, int64(want))
		}
		if _, mine = stumbles.wait(time.Second, now); mine {
			t.Error("two wait at once")
		}
		stumbles.waited()
	}
	if pause, _ := stumbles.wait(time.Second, now.Add(2*time.Hour)); pause != time.Second {
		t.Errorf("%v after two good hours", pause)
	}
	for range 20 {
		stumbles.waited()
		if pause, _ := stumbles.wait(time.Second, now.Add(2*time.Hour)); pause > longestPause {
			t.Fatalf("%v", pause)
		}
	}
}

func TestARecordThatIsTooLargeIsKeptAsItsBytes(t *testing.T) {
	session, _, folder := paired(t, 1<<30)
	// Escaped, each of these takes six bytes.
	if !session.handle(message("ONE", strings.Repeat("\x01", journal.MostPayloadBytes/6+1))) {
		t.Fatal("it comes again for ever")
	}
	records := kept(t, folder)
	if !strings.Contains(records, `"error":"TooLarge"`) || strings.Contains(records, `"wa_id":"ONE"`) {
		t.Error("it is not there as bytes")
	}
	if !session.handle(message("TWO", "goes on")) {
		t.Error("the session does not go on")
	}
}

// receipt is what acknowledges a message that the own phone has handed over.
func receipt(id string) *binary.Node {
	return &binary.Node{Tag: "receipt", Attrs: binary.Attrs{"id": id, "type": string(types.ReceiptTypePeerMsg)}}
}

func TestThePhonesMessageIsAcknowledgedAfterItWasHandled(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	log := &sessionLog{session: session}
	received, sent := log.Sub("Recv"), log.Sub("Send")
	for name, handle := range map[string]func(string){
		"handled": func(id string) { session.handle(message(id, "text")) },
		"handled before": func(id string) {
			log.Debugf(sayIgnoring, id, "them", fmt.Errorf("%w at noon", whatsmeow.ErrEventAlreadyProcessed))
		},
		"comes again and handled": func(id string) {
			received.Debugf("%s", stanza(id, encrypted("msg")))
			session.handle(message(id, "text"))
		},
	} {
		received.Debugf("%s", stanza(name, encrypted("msg")))
		gone := make(chan struct{})
		go func() { sent.Debugf("%s", receipt(name)); close(gone) }()
		select {
		case <-gone:
			t.Errorf("%s: acknowledged too early", name)
		case <-time.After(20 * time.Millisecond): // a wait that may only pass wrongly, never fail wrongly
		}
		handle(name)
		<-gone
		if session.watch.stanza(name) != nil {
			t.Errorf("%s: it is remembered after its acknowledgement", name)
		}
	}
	sent.Debugf("%s", receipt("never came"))
}

func TestASessionThatLeavesHoldsNothingBack(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	log := &sessionLog{session: session}
	log.Sub("Recv").Debugf("%s", stanza("ONE", encrypted("msg")))
	gone := make(chan struct{})
	go func() { log.Sub("Send").Debugf("%s", receipt("ONE")); close(gone) }()
	session.Disconnect()
	<-gone
}

func TestAProblemOfTheFileIsNoneOfTheMessage(t *testing.T) {
	session, heard, folder := paired(t, 1<<20)
	_, problem := session.database.handle.Exec("INSERT INTO nowhere VALUES (1)")
	if problem == nil {
		t.Fatal("no problem")
	}
	wrapped := fmt.Errorf("failed to decrypt: %w", errors.Join(errors.New("the transaction"), problem))
	if !isOfTheFile(wrapped) || isOfTheFile(errors.New("bad MAC")) || isOfTheFile(nil) {
		t.Error("not recognized")
	}
	log := &sessionLog{session: session}
	log.Sub("Recv").Debugf("%s", stanza("ONE", encrypted("msg")))
	log.Warnf(sayBroken, "ONE", them.String(), wrapped)
	if strings.Contains(kept(t, folder), "ONE") {
		t.Error("it is kept as undecryptable, and will not come again")
	}
	if len(heard.events) != 1 || !strings.HasPrefix(fmt.Sprintf("%v", heard.events[0]), "{u the session's file") {
		t.Errorf("%v", heard.events)
	}
	if record, again := inbound.Unreadable(nil, problem); again == "" || record == nil {
		t.Error("nothing is an event, too")
	}
}

func TestAConnectionThatAFaultClosedDoesNotWaitForAHistory(t *testing.T) {
	session, _, _ := paired(t, 1<<20)
	session.ran.Store(true)
	t.Cleanup(session.interrupt) // nobody dials
	session.askLater()
	if _, free := session.unfetched.wait(historyPause, time.Now()); free {
		t.Fatal("nobody asks for the history again")
	}
	session.comeAgain()
	if _, free := session.stumbles.wait(firstPause, time.Now()); free {
		t.Error("nobody connects again")
	}
}
