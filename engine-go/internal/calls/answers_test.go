package calls

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

func status(code int) error { return &whatsmeow.IQError{Code: code, Text: "text"} }

func graphQL(code int) error {
	return fmt.Errorf("graphql error: %w", types.GraphQLErrors{{
		Extensions: types.GraphQLErrorExtensions{ErrorCode: code}, Message: "no",
	}})
}

// codeOf is the code of a refusal, "" for an error that leaves it open.
func codeOf(err error) string {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

func TestWhatErrorsProve(t *testing.T) {
	gone := &whatsmeow.DisconnectedError{Action: "info query"}
	for _, one := range []struct {
		err            error
		lookup, change string
	}{
		{status(400), "Rejected", "Rejected"},
		{status(401), "NotAuthorized", "NotAuthorized"},
		{status(403), "Forbidden", "Forbidden"},
		{status(404), "NotFound", "NotFound"},
		{status(405), "Forbidden", "Forbidden"},
		{status(406), "Rejected", "Rejected"},
		{status(409), "Conflict", "Conflict"},
		{status(410), "NotFound", "NotFound"},
		{status(419), "LimitReached", "LimitReached"},
		{status(423), "Forbidden", "Forbidden"},
		{status(429), "RateLimited", "RateLimited"},
		{status(500), "ServerRefused", "ServerRefused"},
		{status(0), "Failed", ""},
		{fmt.Errorf("failed to send usync query: %w", status(429)), "RateLimited", "RateLimited"},
		{graphQL(404), "NotFound", "NotFound"},
		{graphQL(777), "ServerRefused", "ServerRefused"},
		{graphQL(0), "Failed", ""},
		{graphQL(-3), "Failed", ""},
		{fmt.Errorf("%w 479", whatsmeow.ErrServerReturnedError), "ServerRefused", "ServerRefused"},
		{fmt.Errorf("%w 429", whatsmeow.ErrServerReturnedError), "RateLimited", "RateLimited"},
		{whatsmeow.ErrGroupNotFound, "NotFound", "NotFound"},
		{whatsmeow.ErrNotInGroup, "Forbidden", "Forbidden"},
		{whatsmeow.ErrGroupInviteLinkUnauthorized, "NotAuthorized", "NotAuthorized"},
		{whatsmeow.ErrInviteLinkInvalid, "NotFound", "NotFound"},
		{whatsmeow.ErrInviteLinkRevoked, "NotFound", "NotFound"},
		{whatsmeow.ErrProfilePictureUnauthorized, "NotAuthorized", "NotAuthorized"},
		{whatsmeow.ErrProfilePictureNotSet, "NotFound", "NotFound"},
		{&whatsmeow.ElementMissingError{Tag: "picture", In: "x"}, "NotFound", "NotFound"},
		{&whatsmeow.ElementMissingError{Tag: "group", In: "x"}, "Failed", ""},
		{whatsmeow.ErrInvalidImageFormat, "Rejected", "Rejected"},
		{whatsmeow.ErrInvalidDisappearingTimer, "Rejected", "Rejected"},
		{whatsmeow.ErrNoPushName, "NotReady", "NotReady"},
		{whatsmeow.ErrNotLoggedIn, "NotConnected", "NotConnected"},
		{whatsmeow.ErrClientIsNil, "NotConnected", "NotConnected"},
		{errors.New("failed to get device list: whatever"), "NotDone", "NotDone"},
		{whatsmeow.ErrNotConnected, "NotConnected", ""},
		{whatsmeow.ErrIQTimedOut, "TimedOut", ""},
		{whatsmeow.ErrMessageTimedOut, "TimedOut", ""},
		{gone, "TimedOut", ""},
		{context.DeadlineExceeded, "TimedOut", ""},
		{context.Canceled, "TimedOut", ""},
		{errors.New("upload failed with status code 500"), "Failed", ""},
		{refuse("Invalid", "x"), "Invalid", "Invalid"},
		{open{status(403)}, "", ""},
		// Asked before the change itself: the change was not begun, whatever went wrong.
		{beforehand{whatsmeow.ErrNotConnected}, "NotConnected", "NotConnected"},
		{beforehand{context.DeadlineExceeded}, "TimedOut", "TimedOut"},
		{beforehand{status(404)}, "NotFound", "NotFound"},
		{beforehand{errors.New("disk")}, "NotDone", "NotDone"},
	} {
		if code := codeOf(failure(one.err, false)); code != one.lookup {
			t.Errorf("look-up, %v: %q, not %q", one.err, code, one.lookup)
		}
		if code := codeOf(failure(one.err, true)); code != one.change {
			t.Errorf("change, %v: %q, not %q", one.err, code, one.change)
		}
	}
}

func TestWhatAChangeOfSettingsProves(t *testing.T) {
	for _, one := range []struct {
		err  error
		done bool
		code string
	}{
		{nil, true, ""},
		// The change was made; what failed is only to see what has become of it.
		{fmt.Errorf("failed to fetch app state after sending update: %w", status(403)), true, ""},
		{status(403), false, "Forbidden"},
		{fmt.Errorf("something new: %w", status(403)), false, ""},
		{fmt.Errorf("%w (regular): <error code=\"409\"/>", whatsmeow.ErrAppStateUpdate), false, "ServerRefused"},
		{errors.New("failed to get latest app state key ID: disk"), false, "NotDone"},
		{context.DeadlineExceeded, false, ""},
		{whatsmeow.ErrIQTimedOut, false, ""},
	} {
		err := patched(one.err)
		if (err == nil) != one.done {
			t.Errorf("%v became %v", one.err, err)
		} else if err != nil && codeOf(failure(err, true)) != one.code {
			t.Errorf("%v: %v, not %q", one.err, failure(err, true), one.code)
		}
	}
}

func TestNoAddressInAText(t *testing.T) {
	err := failure(fmt.Errorf("failed to execute request: %w", &url.Error{
		Op: "Post", URL: "https://media/?auth=secret", Err: errors.New("reset"),
	}), false)
	if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

func TestWithoutAConnectionNothingIsAsked(t *testing.T) {
	offline := &whatsmeow.Client{}
	for name := range methods {
		for _, given := range append(fitting[name], `[]`) {
			if _, err := Do(t.Context(), offline, name, json.RawMessage(given)); codeOf(err) != "NotConnected" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := Do(t.Context(), nil, "levitate", nil); codeOf(err) != "Unsupported" {
		t.Error(err)
	}
}
