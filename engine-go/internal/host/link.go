package host

import (
	"errors"
	"net"
	"sync"
	"time"

	"whatsam.io/engine/internal/protocol"
)

// Link is the child's end of the socket to its supervisor. Sending only queues: a handler of WhatsApp's events must never wait for a supervisor
// that is slow or frozen. When the socket breaks, the process ends: an engine without supervisor has no right to go on.
type Link struct {
	socket net.Conn
	ending *Ending

	mutex   sync.Mutex
	changed *sync.Cond
	queue   [][]byte
	writing bool
	broken  bool
}

// NewLink takes over a connected socket. The last words of ending go through it from now on.
func NewLink(socket net.Conn, ending *Ending) *Link {
	link := &Link{socket: socket, ending: ending}
	link.changed = sync.NewCond(&link.mutex)
	ending.flush = link.flush
	go link.write()
	return link
}

// Send queues a message and returns at once.
func (link *Link) Send(message protocol.ToParent) {
	framed, err := protocol.Frame(message)
	if err != nil {
		if answer, is := message.(protocol.Result); is {
			link.Send(protocol.Uncertain{ID: answer.ID, Message: "the answer is too large"})
			return
		}
		link.ending.End(protocol.EngineFailed, err.Error())
	}
	link.mutex.Lock()
	defer link.mutex.Unlock()
	if !link.broken {
		link.queue = append(link.queue, framed)
		link.changed.Broadcast()
	}
}

// Receive waits for the supervisor's next message; it ends the process when the socket closes or brings garbage.
func (link *Link) Receive() protocol.ToEngine {
	message, err := protocol.Read(link.socket)
	switch {
	case errors.Is(err, protocol.ErrGarbage):
		link.ending.End(protocol.ProtocolError, err.Error())
	case err != nil:
		link.ending.End(protocol.ParentGone, "the supervisor closed the socket")
	}
	return message
}

// flush waits until everything queued is in the kernel's hands, or for so long.
func (link *Link) flush(limit time.Duration) {
	expired := time.AfterFunc(limit, func() {
		link.mutex.Lock()
		defer link.mutex.Unlock()
		link.broken = true
		link.changed.Broadcast()
	})
	defer expired.Stop()
	link.mutex.Lock()
	defer link.mutex.Unlock()
	for !link.broken && (link.writing || len(link.queue) > 0) {
		link.changed.Wait()
	}
}

func (link *Link) write() {
	for {
		link.mutex.Lock()
		for len(link.queue) == 0 {
			link.changed.Wait()
		}
		frames := net.Buffers(link.queue)
		link.queue, link.writing = nil, true
		link.mutex.Unlock()
		_, err := frames.WriteTo(link.socket)
		link.mutex.Lock()
		link.writing = false
		link.broken = link.broken || err != nil // nobody is left to hear the last words
		link.changed.Broadcast()
		link.mutex.Unlock()
		if err != nil {
			link.ending.End(protocol.ParentGone, "the supervisor's socket broke")
		}
	}
}
