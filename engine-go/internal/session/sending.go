package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/calls"
	"whatsam.io/engine/internal/protocol"
)

const (
	// answerLimit is how long WhatsApp may take to answer; the supervisor mostly gives up earlier, by Cancel.
	answerLimit = 75 * time.Second
	// uploadBytesPerSecond is the slowest line that a gateway is used on.
	uploadBytesPerSecond = 128 * 1024
)

func notConnected(id int64) protocol.Answer {
	return protocol.Refused{ID: id, Code: "NotConnected", Message: "not connected to WhatsApp"}
}

// Send sends one message and waits for WhatsApp's answer. Refused means that WhatsApp did not take it: it was never written to the socket, or
// the server answered with an error. Everything else that is no success is Uncertain.
func (session *session) Send(ctx context.Context, request protocol.Send) protocol.Answer {
	if !session.connected.Load() {
		return notConnected(request.ID)
	}
	to, err := types.ParseJID(request.To)
	var message waE2E.Message
	if err == nil && (to.User == "" || to.Server == "") {
		err = errors.New("no recipient")
	}
	if err == nil {
		err = proto.Unmarshal(request.Message, &message)
	}
	if err != nil {
		return protocol.Refused{ID: request.ID, Code: "Invalid", Message: "the recipient or the message cannot be parsed"}
	}
	id := session.client.GenerateMessageID()
	if request.MessageID != nil && *request.MessageID != "" {
		id = *request.MessageID
	}
	written, done := session.watch.sends(id)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	response, err := session.client.SendMessage(ctx, to, &message, whatsmeow.SendRequestExtra{ID: id})
	switch {
	case err == nil:
		at := response.Timestamp
		if at.Unix() <= 0 { // the server told none
			at = time.Now()
		}
		return protocol.Sent{ID: request.ID, WaID: response.ID, Timestamp: at}
	case errors.Is(err, whatsmeow.ErrServerReturnedError):
		return protocol.Refused{ID: request.ID, Code: "ServerRefused", Message: "WhatsApp answered with error " + lastNumber.FindString(err.Error())}
	case written.Load() || response.ID != "" && response.ID != id: // whatsmeow has put another id in its place: nothing is known of that one
		return protocol.Uncertain{ID: request.ID, Message: err.Error()}
	}
	if isOfTheFile(err) { // no fault of the message: it must not be given up for it
		session.fail(fmt.Sprintf("the session's file cannot be written: %T", err))
		return notConnected(request.ID)
	}
	return notSent(request.ID, err)
}

var lastNumber = regexp.MustCompile(`\d+$`)

// notSent is the refusal of a message whose stanza was never written.
func notSent(id int64, err error) protocol.Answer {
	var gone *whatsmeow.DisconnectedError
	switch {
	case errors.Is(err, whatsmeow.ErrNotConnected), errors.Is(err, whatsmeow.ErrNotLoggedIn), errors.As(err, &gone):
		return notConnected(id)
	case strings.HasPrefix(err.Error(), "no LID found for"): // an error without a type
		return protocol.Refused{ID: id, Code: "UnknownRecipient", Message: "the recipient is not on WhatsApp"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return protocol.Refused{ID: id, Code: "NotSent", Message: "the time was up before the message was written"}
	}
	return protocol.Refused{ID: id, Code: "NotSent", Message: err.Error()}
}

// Call carries out one call.
func (session *session) Call(ctx context.Context, request protocol.Call) protocol.Answer {
	if protocol.Methods[request.Method].Pairing {
		return session.pairing.call(ctx, request)
	}
	if !calls.Supported(request.Method) {
		return protocol.Refused{ID: request.ID, Code: "Unsupported", Message: "this engine cannot do it"}
	}
	if !session.connected.Load() {
		return notConnected(request.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit(request))
	defer cancel()
	value, err := calls.Do(ctx, session.client, request.Method, json.RawMessage(request.Arguments))
	var refusal *calls.Refusal
	switch {
	case errors.As(err, &refusal):
		return protocol.Refused{ID: request.ID, Code: refusal.Code, Message: refusal.Message}
	case err != nil:
		return protocol.Uncertain{ID: request.ID, Message: err.Error()}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return protocol.Uncertain{ID: request.ID, Message: fmt.Sprintf("an answer that is no JSON: %T", err)}
	}
	return protocol.Result{ID: request.ID, Value: string(text)}
}

// callLimit is the method's own limit, but never less than whatsmeow waits for one answer: a caller may have named a longer time, and when it is
// up, Cancel comes. An upload gets what its size needs.
func callLimit(request protocol.Call) time.Duration {
	limit := max(protocol.Methods[request.Method].Limit, answerLimit)
	if request.Method == "upload" {
		var arguments struct{ Path string }
		if json.Unmarshal([]byte(request.Arguments), &arguments) == nil {
			if about, err := os.Stat(arguments.Path); err == nil {
				limit += time.Duration(about.Size()/uploadBytesPerSecond) * time.Second
			}
		}
	}
	return limit
}

// Logout unlinks the device at WhatsApp; its rows are deleted when WhatsApp has agreed.
func (session *session) Logout(ctx context.Context, request protocol.Logout) protocol.Answer {
	if !session.connected.Load() {
		return notConnected(request.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	me := session.me()
	err := session.client.Logout(ctx)
	var refused *whatsmeow.IQError
	switch {
	case errors.As(err, &refused):
		return protocol.Refused{ID: request.ID, Code: "LogoutRefused", Message: fmt.Sprintf("WhatsApp answered with error %d", refused.Code)}
	case err != nil && session.client.IsConnected():
		return protocol.Uncertain{ID: request.ID, Message: err.Error()}
	}
	session.connected.Store(false)
	if err == nil || errors.Is(err, errRowsGone) {
		return protocol.Done{ID: request.ID}
	}
	// Either the connection went over the question, or WhatsApp has agreed and the rows could not be deleted.
	var gone *whatsmeow.DisconnectedError
	if errors.As(err, &gone) || errors.Is(err, whatsmeow.ErrNotConnected) || errors.Is(err, whatsmeow.ErrIQTimedOut) || ctx.Err() != nil {
		return protocol.Uncertain{ID: request.ID, Message: err.Error()}
	}
	if err = session.database.forget(session.ctx, me); err != nil {
		return protocol.Uncertain{ID: request.ID, Message: "WhatsApp has agreed, but the device's rows are still there"}
	}
	return protocol.Done{ID: request.ID}
}
