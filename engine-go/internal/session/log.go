package session

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"

	"whatsam.io/engine/internal/inbound"
	"whatsam.io/engine/internal/protocol"
)

// What whatsmeow says in its log before it does it, and in no event. The formats are compared, never the text: a new version of whatsmeow that
// words one differently shows in the flow tests, which provoke each of them.
const (
	sayUploading   = "Uploading %d new prekeys to server"
	sayUnavailable = "Unavailable message %s from %s (type: %q)"
	sayIgnoring    = "Ignoring message %s from %s: %v"
	sayBroken      = "Error decrypting message %s from %s: %v"
	sayNoMessage   = "Error unmarshaling decrypted message from %s: %v"
	sayPanicked    = "Message decryption for %s panicked: %v\n%s"
	sayNode        = "%s"
)

// mostWatched bounds what watch keeps; whatsmeow's own queue is half as long.
const mostWatched = 4096

// watch knows the message stanzas that have come and have no acknowledgement yet, and which of our own were written.
type watch struct {
	mutex   sync.Mutex
	came    map[string]arrival
	number  uint64
	noted   map[string]bool
	writing map[string]*atomic.Bool
}

// arrival is a stanza with its place in the order of arrival.
type arrival struct {
	number  uint64
	node    *binary.Node
	handled chan struct{} // closed when the journal has it; nil after that
}

func (watch *watch) arrived(node *binary.Node) {
	id, is := node.Attrs["id"].(string)
	if !is || node.Tag != "message" {
		return
	}
	watch.mutex.Lock()
	defer watch.mutex.Unlock()
	if watch.came == nil || len(watch.came) >= mostWatched {
		watch.came = map[string]arrival{}
	}
	watch.number++
	handled := watch.came[id].handled // somebody may wait for the copy that came before
	if handled == nil {
		handled = make(chan struct{})
	}
	watch.came[id] = arrival{watch.number, node, handled}
}

// leaves hears of every stanza right before it is written.
func (watch *watch) leaves(node *binary.Node) {
	id, is := node.Attrs["id"].(string)
	if !is {
		return
	}
	watch.mutex.Lock()
	defer watch.mutex.Unlock()
	switch node.Tag {
	case "message":
		if written := watch.writing[id]; written != nil {
			written.Store(true)
		}
	case "ack", "receipt":
		watch.release(id)
		delete(watch.came, id)
	}
}

func (watch *watch) stanza(id string) *binary.Node {
	watch.mutex.Lock()
	defer watch.mutex.Unlock()
	return watch.came[id].node
}

// waiting is the stanzas without an acknowledgement, the oldest first.
func (watch *watch) waiting() []*binary.Node {
	watch.mutex.Lock()
	defer watch.mutex.Unlock()
	arrivals := slices.SortedFunc(maps.Values(watch.came), func(one, other arrival) int { return cmp.Compare(one.number, other.number) })
	nodes := make([]*binary.Node, 0, len(arrivals))
	for _, each := range arrivals {
		nodes = append(nodes, each.node)
	}
	return nodes
}

// note remembers that a message was kept as undecryptable before its event came; forget takes that back and says whether it was so.
func (watch *watch) note(id string) {
	watch.mutex.Lock()
	defer watch.mutex.Unlock()
	if watch.noted == nil || len(watch.noted) >= mostWatched {
		watch.noted = map[string]bool{}
	}
	watch.noted[id] = true
}

func (watch *watch) forget(id string) bool {
	watch.mutex.Lock()
	defer watch.mutex.Unlock()
	noted := watch.noted[id]
	delete(watch.noted, id)
	return noted
}

// sends watches for the stanza of a message of ours until done is called.
func (watch *watch) sends(id string) (written *atomic.Bool, done func()) {
	written = &atomic.Bool{}
	watch.mutex.Lock()
	defer watch.mutex.Unlock()
	if watch.writing == nil {
		watch.writing = map[string]*atomic.Bool{}
	}
	watch.writing[id] = written
	return written, func() {
		watch.mutex.Lock()
		defer watch.mutex.Unlock()
		delete(watch.writing, id)
	}
}

// sessionLog is whatsmeow's log of one session: passed on from warnings up (everything when somebody debugs it), and listened to.
type sessionLog struct {
	session *session
	module  string
}

func (log *sessionLog) Sub(module string) waLog.Logger {
	if log.module != "" {
		module = log.module + "/" + module
	}
	return &sessionLog{log.session, module}
}

func (log *sessionLog) Errorf(format string, values ...any) {
	if format == sayPanicked && len(values) == 3 {
		log.session.undecryptable(values[0], nil)
	}
	log.say("ERROR", format, values)
}

func (log *sessionLog) Warnf(format string, values ...any) {
	if len(values) == 3 {
		switch format {
		case sayUnavailable:
			log.session.undecryptable(values[0], nil)
		case sayBroken:
			err, _ := values[2].(error)
			log.session.undecryptable(values[0], err)
		case sayIgnoring:
			if err, is := values[2].(error); is && errors.Is(err, signalerror.ErrOldCounter) {
				log.session.alreadyDecrypted(fmt.Sprintf(format, values...))
			}
		}
	}
	if format == sayNoMessage && len(values) == 2 {
		log.session.unparsed(values[0])
	}
	log.say("WARN", format, values)
}

func (log *sessionLog) Infof(format string, values ...any) {
	if format == sayUploading {
		// whatsmeow has written them to the session's file by now.
		log.session.tools.Emit(protocol.KeysUploaded{UID: log.session.uid})
	}
	if log.session.start.Debug {
		log.say("INFO", format, values)
	}
}

func (log *sessionLog) Debugf(format string, values ...any) {
	if id, is := isHandledBefore(format, values); is {
		log.session.watch.handled(id)
	}
	if format == sayNode && len(values) == 1 {
		if node, is := values[0].(*binary.Node); is {
			switch log.module {
			case "Recv":
				log.session.watch.arrived(node)
			case "Send":
				log.session.hold(node)
				log.session.watch.leaves(node)
			}
		}
	}
	if log.session.start.Debug {
		log.say("DEBUG", format, values)
	}
}

func (log *sessionLog) say(level, format string, values []any) {
	if !log.session.start.Debug {
		// A stanza holds what people have written, and a panic may.
		for place, value := range values {
			if node, is := value.(*binary.Node); is {
				values[place] = "<" + node.Tag + ">"
			}
		}
	}
	text := fmt.Sprintf(format, values...)
	if !log.session.start.Debug {
		text, _, _ = strings.Cut(redact(text), "\n")
	}
	line(strings.TrimSpace("whatsmeow "+log.module) + " " + level + " " + text)
}

// info is what a stanza says beside its content, read as whatsmeow itself reads it.
func (session *session) info(node *binary.Node) (*types.MessageInfo, error) {
	//lint:ignore SA1019 it only parses; the alternative is a copy of that code
	return session.client.DangerousInternals().ParseMessageInfo(node)
}

// undecryptable keeps a message that whatsmeow cannot decrypt. It is called before whatsmeow acknowledges it and tells the event.
func (session *session) undecryptable(id any, problem error) {
	defer session.containLog()
	if isOfTheFile(problem) {
		// Nothing is wrong with the message: its sender shall not have to send it again.
		session.cut()
		if !session.forgotten.Load() {
			session.fail(fmt.Sprintf("the session's file: %v", problem))
		}
		return
	}
	name, _ := id.(string)
	node := session.watch.stanza(name)
	if node == nil || session.ctx.Err() != nil {
		return
	}
	info, err := session.info(node)
	if err != nil {
		return
	}
	event := &events.UndecryptableMessage{Info: *info}
	direct, encrypted := false, false
	for _, child := range node.GetChildren() {
		if child.Tag != "enc" {
			continue
		}
		kind, _ := child.Attrs["type"].(string)
		encrypted = true
		direct = direct || kind == "msg" || kind == "pkmsg"
		if fail, is := child.Attrs["decrypt-fail"].(string); is {
			event.DecryptFailMode = events.DecryptFailMode(fail)
		}
	}
	event.IsUnavailable = !encrypted || !direct && errors.Is(problem, signalerror.ErrNoSenderKeyForUser)
	record, isMessage, ok := inbound.Record(event, *session.own.Load(), time.Now())
	if !ok {
		return
	}
	if session.keep(record, isMessage) {
		session.watch.note(name)
	}
}

// unparsed keeps that a message was decrypted and is no protobuf: whatsmeow refuses it and tells no event. The log names its source only; the
// oldest stanza from there is the one, because whatsmeow works on one after another.
func (session *session) unparsed(source any) {
	defer session.containLog()
	for _, node := range session.watch.waiting() {
		info, err := session.info(node)
		if err == nil && info.SourceString() == source {
			session.undecryptable(info.ID, nil)
			session.watch.forget(info.ID) // no event will come
			return
		}
	}
}

// alreadyDecrypted keeps that a message was delivered again whose key is used up: an engine that died has decrypted it before.
func (session *session) alreadyDecrypted(text string) {
	defer session.containLog()
	if record := inbound.Lost(text, *session.own.Load(), time.Now()); record != nil {
		session.keep(record, false)
	}
}

// containLog is deferred where whatsmeow's log is listened to: what is acknowledged next must not go out when it was not kept.
func (session *session) containLog() {
	if problem := recover(); problem != nil {
		session.cut()
		session.fail(fmt.Sprintf("a fault in the log: %T", problem))
	}
}

var secrets = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`https?://\S*linked_devices\S*`), "<qr>"},
	{regexp.MustCompile(`://[^/@\s]*@`), "://<credentials>@"},
	{regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`), `"…"`},
	{regexp.MustCompile(`[^\s<>@"'=(\[]+@(?:s\.whatsapp\.net|lid|g\.us|c\.us|broadcast|newsletter|bot|hosted\S*)`), "<jid>"},
	{regexp.MustCompile(`\b(?:0x)?[0-9a-fA-F]{24,}\b`), "<hex>"},
	{regexp.MustCompile(`\+?\d{7,}`), "<number>"},
}

// redact takes out what must not reach a log. The supervisor does the same again, and more.
func redact(text string) string {
	for _, secret := range secrets {
		text = secret.pattern.ReplaceAllString(text, secret.instead)
	}
	return text
}
