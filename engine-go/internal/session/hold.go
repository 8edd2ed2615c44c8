package session

import (
	"errors"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"modernc.org/sqlite"
)

// holdLimit is above everything that a handler may take.
const holdLimit = historyLimit + time.Minute

// hold keeps an acknowledgement back until its message is handled. whatsmeow acknowledges what the own phone hands over (history above all) in
// a goroutine of its own, before the handlers have it. It is called right before a stanza is written, on the connection on which it then fails
// or not: when that one was closed meanwhile, nothing goes out.
func (session *session) hold(node *binary.Node) {
	kind, _ := node.Attrs["type"].(string)
	id, is := node.Attrs["id"].(string)
	if node.Tag != "receipt" || kind != string(types.ReceiptTypePeerMsg) || !is {
		return
	}
	handled := session.watch.handling(id)
	if handled == nil {
		return
	}
	select {
	case <-handled:
	case <-session.ctx.Done():
	case <-time.After(holdLimit):
	}
}

// handling is closed when the message of this id is handled; nil when none of it waits.
func (watch *watch) handling(id string) <-chan struct{} {
	watch.mutex.Lock()
	defer watch.mutex.Unlock()
	return watch.came[id].handled
}

// handled says that the journal has what a message said.
func (watch *watch) handled(id string) {
	watch.mutex.Lock()
	defer watch.mutex.Unlock()
	watch.release(id)
}

// release lets go whoever waits for a message. The mutex is held.
func (watch *watch) release(id string) {
	if arrival, here := watch.came[id]; here && arrival.handled != nil {
		close(arrival.handled)
		arrival.handled = nil
		watch.came[id] = arrival
	}
}

// isHandledBefore recognizes what whatsmeow says when a message is delivered again that was handled: no handler will hear of it.
func isHandledBefore(format string, values []any) (id string, is bool) {
	if format != sayIgnoring || len(values) != 3 {
		return "", false
	}
	err, _ := values[2].(error)
	id, is = values[0].(string)
	return id, is && errors.Is(err, whatsmeow.ErrEventAlreadyProcessed)
}

// isOfTheFile says that the session's file is the trouble, and not the message: it is full, broken or locked.
func isOfTheFile(err error) bool {
	var problem *sqlite.Error
	return errors.As(err, &problem)
}
