package calls

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

// Refusal is certainty that nothing was done. Code is a word for programs, Message is for people.
type Refusal struct {
	Code    string
	Message string
}

func (refusal *Refusal) Error() string { return refusal.Code + ": " + refusal.Message }

func refuse(code, message string) *Refusal { return &Refusal{Code: code, Message: message} }

func notConnected() *Refusal { return refuse("NotConnected", "not connected to WhatsApp") }

func timedOut() *Refusal { return refuse("TimedOut", "WhatsApp did not answer") }

// beforehand is the error of a question that was asked before the change itself: the change was not begun.
type beforehand struct{ error }

func (err beforehand) Unwrap() error { return err.error }

// open is an error that proves nothing, whatever errors are in it.
type open struct{ error }

var byStatus = map[int]Refusal{
	400: {"Rejected", "WhatsApp does not accept these values"},
	401: {"NotAuthorized", "WhatsApp does not let this account do it"},
	403: {"Forbidden", "WhatsApp forbids it: only members, or only admins, may do it"},
	404: {"NotFound", "WhatsApp does not know it"},
	405: {"Forbidden", "WhatsApp does not allow it"},
	406: {"Rejected", "WhatsApp does not accept these values"},
	409: {"Conflict", "it is so already, or somebody changed it at the same time"},
	410: {"NotFound", "it is gone"},
	419: {"LimitReached", "WhatsApp allows no more of them"},
	423: {"Forbidden", "it is locked"},
	429: {"RateLimited", "WhatsApp wants fewer calls"},
}

var byError = []struct {
	err     error
	refusal Refusal
}{
	{whatsmeow.ErrGroupNotFound, Refusal{"NotFound", "there is no such group"}},
	{whatsmeow.ErrNotInGroup, Refusal{"Forbidden", "this account is not a member of that group"}},
	{whatsmeow.ErrGroupInviteLinkUnauthorized, Refusal{"NotAuthorized", "only admins see the invite link"}},
	{whatsmeow.ErrInviteLinkInvalid, Refusal{"NotFound", "the invite link is not valid"}},
	{whatsmeow.ErrInviteLinkRevoked, Refusal{"NotFound", "the invite link has been reset"}},
	{whatsmeow.ErrProfilePictureUnauthorized, Refusal{"NotAuthorized", "the picture is hidden from this account"}},
	{whatsmeow.ErrProfilePictureNotSet, Refusal{"NotFound", "there is no picture"}},
	{whatsmeow.ErrInvalidImageFormat, Refusal{"Rejected", "WhatsApp does not accept the picture"}},
	{whatsmeow.ErrInvalidDisappearingTimer, Refusal{"Rejected", "WhatsApp takes 0, 1, 7 or 90 days"}},
	{whatsmeow.ErrNoPushName, Refusal{"NotReady", "WhatsApp has not told the account's name yet"}},
	{whatsmeow.ErrNotLoggedIn, Refusal{"NotConnected", "not connected to WhatsApp"}},
	{whatsmeow.ErrClientIsNil, Refusal{"NotConnected", "not connected to WhatsApp"}},
}

var numberAtEnd = regexp.MustCompile(`(\d+)$`)

// refusalOf is the refusal when the error proves that nothing was done, else nil. ErrNotConnected proves nothing:
// whatsmeow also returns it after it has written a question, when the connection went and came back.
func refusalOf(err error) *Refusal {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	for _, known := range byError {
		if errors.Is(err, known.err) {
			return refuse(known.refusal.Code, known.refusal.Message)
		}
	}
	var missing *whatsmeow.ElementMissingError
	if errors.As(err, &missing) && missing.Tag == "picture" {
		return refuse("NotFound", "there is no picture")
	}
	if status := statusOf(err); status > 0 {
		if known, ok := byStatus[status]; ok {
			return &known
		}
		return refuse("ServerRefused", "WhatsApp answered with error "+strconv.Itoa(status))
	}
	// What whatsmeow looks up before it asks for the change itself; these errors have no type.
	if strings.HasPrefix(err.Error(), "failed to get ") {
		return refuse("NotDone", "WhatsApp did not tell what is needed first")
	}
	return nil
}

// statusOf is the number with which WhatsApp refused, 0 if it did not.
func statusOf(err error) int {
	var query *whatsmeow.IQError
	if errors.As(err, &query) {
		return query.Code
	}
	var graph types.GraphQLError
	if errors.As(err, &graph) {
		return graph.Extensions.ErrorCode
	}
	if errors.Is(err, whatsmeow.ErrServerReturnedError) {
		// "server returned error 479": the number is in no field.
		if found := numberAtEnd.FindString(err.Error()); found != "" {
			status, _ := strconv.Atoi(found)
			return status
		}
	}
	return 0
}

func unanswered(err error) bool {
	var gone *whatsmeow.DisconnectedError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, whatsmeow.ErrIQTimedOut) || errors.Is(err, whatsmeow.ErrMessageTimedOut) || errors.As(err, &gone)
}

// failure says what is known after an error of an action.
func failure(err error, changes bool) error {
	var unclear open
	if errors.As(err, &unclear) {
		return unclear
	}
	if refusal := refusalOf(err); refusal != nil {
		return refusal
	}
	var before beforehand
	first := errors.As(err, &before)
	switch {
	case changes && !first:
		return open{err}
	case errors.Is(err, whatsmeow.ErrNotConnected):
		return notConnected()
	case unanswered(err):
		return timedOut()
	case first:
		return refuse("NotDone", "WhatsApp did not tell what is needed first")
	default:
		return refuse("Failed", plainText(err))
	}
}

// plainText is the text without the URL that was asked for: an upload's has a secret.
func plainText(err error) string {
	var asked *url.Error
	if errors.As(err, &asked) {
		return asked.Op + ": " + asked.Err.Error()
	}
	return err.Error()
}
