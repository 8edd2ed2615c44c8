// Package host is the child's side of the protocol: it serves the supervisor's requests for the sessions of this process. It knows WhatsApp only
// by the interfaces Engine and Session. One goroutine reads the socket and moves the kernel timer; it never calls into a session, so a session
// that hangs cannot keep the fence from being moved, nor Ping and Stop from being heard. The rules are those of
// connector/whatsam_connector/engine/host.py.
package host

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"whatsam.io/engine/internal/journal"
	"whatsam.io/engine/internal/protocol"
)

const (
	// startedBeforeStop is how long a stop waits for sessions that are just being opened.
	startedBeforeStop = 2 * time.Second
	// leaveLimit is how long a message that is under way may take to give up after its session has hung up.
	leaveLimit = 7 * time.Second
	// lingerLimit is how long a session's file stays open for what is looked up or uploaded and was told to give up.
	lingerLimit = 2 * time.Second
	// abandonedUploads and abandonedLookups are how many commands without an answer may be left behind.
	abandonedUploads = 2
	abandonedLookups = 4
)

// Session is a session as the host sees it. None of the methods panics or fails; a failure is an answer, an event, or the end.
type Session interface {
	Send(ctx context.Context, request protocol.Send) protocol.Answer
	Call(ctx context.Context, request protocol.Call) protocol.Answer
	Logout(ctx context.Context, request protocol.Logout) protocol.Answer
	// Disconnect closes the connection for good and returns when the handlers have worked off what had arrived. May be called twice, also
	// from two goroutines at once.
	Disconnect()
	// Close gives the session's file back. Called after Disconnect, when no command runs any more or too long.
	Close()
}

// Engine opens sessions.
type Engine interface {
	// Start opens the sessions and begins to connect them; it returns when the last one is open (not: connected).
	Start(sessions []protocol.SessionStart, tools Tools) map[string]Session
}

// Tools are what sessions need of the host.
type Tools struct {
	// Emit tells the supervisor of an event; it returns at once.
	Emit func(protocol.Event)
	// End ends the process.
	End func(code protocol.ExitCode, reason string)
	// Committer hears of what was appended to a journal.
	Committer *journal.Committer
	// Journals are the journals by session.
	Journals map[string]*journal.Writer
	// Sync says when an event counts as kept.
	Sync journal.Policy
	// Alone says that the process has one session: its failure is the end of the process, whose exit code then says more.
	Alone bool
}

// Fence moves the hard deadline of this process.
type Fence interface {
	Arm(deadline float64) error
}

// Settings are what a host is made of.
type Settings struct {
	Link    *Link
	Fence   Fence
	Ending  *Ending
	Engine  Engine
	Hello   protocol.Hello
	Sync    journal.Policy
	Journal func(folder string, limits journal.Limits) (*journal.Writer, error)
}

type laneKey struct {
	uid  string
	kind protocol.Lane
}

// Host serves one supervisor until the process ends.
type Host struct {
	Settings
	committer *journal.Committer
	started   chan struct{}
	lanes     map[laneKey]*lane
	media     *lane
	number    int

	// Written before started is closed and only read afterwards.
	sessions map[string]Session
	journals map[string]*journal.Writer

	mutex   sync.Mutex
	leaving map[string]*sync.Mutex
	left    map[string]bool
}

// New returns a host; Serve does the work.
func New(settings Settings) *Host {
	host := &Host{
		Settings: settings, started: make(chan struct{}), lanes: map[laneKey]*lane{},
		sessions: map[string]Session{}, journals: map[string]*journal.Writer{},
		leaving: map[string]*sync.Mutex{}, left: map[string]bool{},
	}
	host.committer = journal.NewCommitter(news{host})
	return host
}

// Serve says hello and works off the supervisor's messages; it returns only by the end of the process.
func (host *Host) Serve() {
	host.Link.Send(host.Hello)
	host.spawn("committer", host.committer.Run)
	for {
		host.take(host.Link.Receive())
	}
}

func (host *Host) take(message protocol.ToEngine) {
	switch message := message.(type) {
	case protocol.Arm:
		if err := host.Fence.Arm(message.Deadline); err != nil {
			host.Ending.End(protocol.FenceNotArmed, err.Error())
		}
		host.Link.Send(protocol.Done{ID: message.ID})
	case protocol.Ping:
		host.Link.Send(protocol.Done(message))
	case protocol.Start:
		host.takeStart(message)
	case protocol.Stop:
		host.spawn("stop", host.stop)
	case protocol.Cancel:
		host.cancel(message.Target)
	case protocol.Disconnect:
		// Not in the lane: a send that hangs would keep it waiting, and this is what ends such a send.
		host.spawn("leave", func() { host.Link.Send(host.leave(message)) })
	case protocol.Send:
		host.command(message.ID, message.UID, protocol.Messages, func(ctx context.Context, session Session) protocol.Answer {
			return session.Send(ctx, message)
		})
	case protocol.Logout:
		host.command(message.ID, message.UID, protocol.Messages, func(ctx context.Context, session Session) protocol.Answer {
			return session.Logout(ctx, message)
		})
	case protocol.Call:
		method, known := protocol.Methods[message.Method]
		if !known {
			host.Link.Send(protocol.Refused{ID: message.ID, Code: "Unsupported", Message: "no engine has this call"})
			return
		}
		host.command(message.ID, message.UID, method.Lane, func(ctx context.Context, session Session) protocol.Answer {
			return session.Call(ctx, message)
		})
	}
}

func (host *Host) takeStart(message protocol.Start) {
	if host.number > 0 || len(message.Sessions) == 0 {
		host.Ending.End(protocol.ProtocolError, "sessions cannot be added to a running process")
	}
	host.number = len(message.Sessions)
	answer := func(answer protocol.Answer) { host.Link.Send(answer) }
	hands := newHands()
	host.media = newLane(answer, host.started, hands, abandonedUploads)
	for _, session := range message.Sessions {
		host.lanes[laneKey{session.UID, protocol.Messages}] = newLane(answer, host.started, hands, 0)
		host.lanes[laneKey{session.UID, protocol.Lookups}] = newLane(answer, host.started, hands, abandonedLookups)
		host.lanes[laneKey{session.UID, protocol.Media}] = host.media
	}
	host.spawn("start", func() { host.start(message.Sessions) })
}

func (host *Host) cancel(target int64) {
	if host.media == nil {
		return
	}
	host.media.cancel(target)
	for key, lane := range host.lanes {
		if key.kind != protocol.Media {
			lane.cancel(target)
		}
	}
}

func (host *Host) command(id int64, uid string, kind protocol.Lane, do func(context.Context, Session) protocol.Answer) {
	lane, known := host.lanes[laneKey{uid, kind}]
	if !known {
		host.Link.Send(protocol.Refused{ID: id, Code: "UnknownSession", Message: "this process does not run that session"})
		return
	}
	lane.put(id, uid, func(ctx context.Context) (answer protocol.Answer) {
		defer func() {
			if problem := recover(); problem != nil {
				report("a command", problem)
				answer = protocol.Uncertain{ID: id, Message: fmt.Sprintf("a fault of the engine: %T", problem)}
			}
		}()
		session, runs := host.sessions[uid]
		if !runs || host.isLeaving(uid) {
			return hasGone(id)
		}
		return do(ctx, session)
	})
}

func (host *Host) start(sessions []protocol.SessionStart) {
	alone := len(sessions) == 1
	able := make([]protocol.SessionStart, 0, len(sessions))
	for _, session := range sessions {
		limits := journal.Limits{MostBytes: session.JournalLimit, LeastFreeBytes: session.FreeDisk}
		writer, err := host.Journal(session.Journal, limits)
		if err == nil {
			host.journals[session.UID] = writer
			able = append(able, session)
			continue
		}
		if alone {
			host.Ending.End(protocol.JournalFailed, err.Error())
		}
		host.mutex.Lock()
		host.left[session.UID] = true
		host.mutex.Unlock()
		host.emit(protocol.ConnectFailure{UID: session.UID, Reason: "JournalFailed: " + err.Error()})
	}
	if len(able) == 0 {
		host.Ending.End(protocol.JournalFailed, "no session has its journal")
	}
	host.sessions = host.Engine.Start(able, Tools{
		Emit: host.emit, End: host.Ending.End, Committer: host.committer, Journals: host.journals, Sync: host.Sync, Alone: alone,
	})
	close(host.started)
	host.Link.Send(protocol.Started{})
}

// leave ends one session for good; the process ends with the last one.
func (host *Host) leave(message protocol.Disconnect) protocol.Answer {
	uid := message.UID
	if _, known := host.lanes[laneKey{uid, protocol.Messages}]; !known {
		return protocol.Refused{ID: message.ID, Code: "UnknownSession", Message: "this process does not run that session"}
	}
	leaving := host.beginsToLeave(uid)
	leaving.Lock()
	defer leaving.Unlock()
	<-host.started
	if !host.hasLeft(uid) {
		return protocol.Uncertain{ID: message.ID, Message: "a message is still under way"}
	}
	host.mutex.Lock()
	host.left[uid] = true
	last := len(host.left) == host.number
	host.mutex.Unlock()
	if last {
		host.Link.Send(protocol.Done{ID: message.ID})
		host.Ending.End(protocol.Clean, "")
	}
	return protocol.Done{ID: message.ID}
}

// hasLeft disconnects, drains, and gives file and journal back. False: a message is under way and may still change the keys.
func (host *Host) hasLeft(uid string) bool {
	host.mutex.Lock()
	done := host.left[uid]
	host.mutex.Unlock()
	if done {
		return true
	}
	if session := host.sessions[uid]; session != nil {
		session.Disconnect()
		if !host.giveUp(uid, leaveLimit) {
			return false
		}
		session.Close()
	}
	host.committer.Leave(uid, host.journals[uid])
	return true
}

// giveUp ends the commands of a session that has hung up. False: a message is under way beyond the limit. The others hold no keys: one that does
// not give up in time finds the file closed, and that is its answer.
func (host *Host) giveUp(uid string, limit time.Duration) bool {
	others := []*lane{host.lanes[laneKey{uid, protocol.Lookups}], host.media}
	messages := host.lanes[laneKey{uid, protocol.Messages}]
	messages.leave(uid)
	for _, lane := range others {
		lane.leave(uid)
	}
	latest := time.Now().Add(lingerLimit)
	if !messages.waitUntilQuiet(uid, limit) {
		return false
	}
	for _, lane := range others {
		lane.waitUntilQuiet(uid, time.Until(latest))
	}
	return true
}

// beginsToLeave lets no further command of a session begin; who disconnects it holds what is returned.
func (host *Host) beginsToLeave(uid string) *sync.Mutex {
	host.mutex.Lock()
	defer host.mutex.Unlock()
	if host.leaving[uid] == nil {
		host.leaving[uid] = &sync.Mutex{}
	}
	return host.leaving[uid]
}

func (host *Host) isLeaving(uid string) bool {
	host.mutex.Lock()
	defer host.mutex.Unlock()
	return host.leaving[uid] != nil
}

func (host *Host) stop() {
	select {
	case <-host.started:
		var leaving sync.WaitGroup
		for uid, session := range host.sessions {
			host.mutex.Lock()
			gone := host.left[uid]
			host.mutex.Unlock()
			if !gone {
				host.beginsToLeave(uid)
				leaving.Go(func() {
					session.Disconnect()
					host.giveUp(uid, lingerLimit)
					session.Close()
				})
			}
		}
		leaving.Wait()
	case <-time.After(startedBeforeStop):
	}
	host.committer.Commit()
	host.Ending.End(protocol.Clean, "")
}

func (host *Host) emit(event protocol.Event) { host.Link.Send(protocol.EventFrame{Event: event}) }

// spawn runs a part of the host; when it panics, the process ends: half a host would leave a dead engine behind.
func (host *Host) spawn(name string, part func()) {
	go func() {
		defer func() {
			if problem := recover(); problem != nil {
				report(name, problem)
				host.Ending.End(protocol.EngineFailed, fmt.Sprintf("%s: %T", name, problem))
			}
		}()
		part()
	}()
}

// report says what went wrong without what it was about: the text of a panic may hold content.
func report(where string, problem any) {
	fmt.Fprintf(os.Stderr, "engine: %s panicked: %T\n", where, problem)
}

// news passes on what the committer tells.
type news struct{ host *Host }

func (news news) Advanced(uid string, position journal.Position, last float64) {
	news.host.emit(protocol.JournalAdvanced{UID: uid, Position: position, At: last})
}

// Full leaves WhatsApp, which keeps what comes from now on; the supervisor ends the session.
func (news news) Full(uid string, why journal.Room) {
	news.host.emit(protocol.JournalFull{UID: uid, Reason: string(why)})
	news.host.spawn("journal-full", func() {
		<-news.host.started
		news.host.sessions[uid].Disconnect()
		news.host.committer.Commit()
	})
}

func (news news) Failed(err error) { news.host.Ending.End(protocol.JournalFailed, err.Error()) }
