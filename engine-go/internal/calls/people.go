package calls

import (
	"context"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"

	"whatsam.io/engine/internal/inbound"
)

// WhatsApp names a person by phone number or by LID. What the device has learned of the pairs is in its own file; looking
// there asks nobody. A file that cannot be read counts as "not known": names are an addition to an answer.

// person is somebody in an answer.
type person struct {
	JID   string  `json:"jid"`
	Phone *string `json:"phone"`
	LID   *string `json:"lid"`
}

func personOf(ctx context.Context, client *whatsmeow.Client, jid types.JID) person {
	return person{JID: inbound.PersonText(jid), Phone: phoneOf(ctx, client, jid), LID: lidOf(ctx, client, jid)}
}

// phoneOf is the digits of a person's phone number, as far as this device knows them.
func phoneOf(ctx context.Context, client *whatsmeow.Client, jid types.JID) *string {
	switch jid.Server {
	case types.DefaultUserServer:
		return orNull(jid.User)
	case types.HiddenUserServer:
		found, err := client.Store.LIDs.GetPNForLID(ctx, jid.ToNonAD())
		if err != nil {
			return nil
		}
		return orNull(found.User)
	default:
		return nil
	}
}

// lidOf is a person's LID as text, as far as this device knows it.
func lidOf(ctx context.Context, client *whatsmeow.Client, jid types.JID) *string {
	found := jid
	if jid.Server == types.DefaultUserServer {
		var err error
		if found, err = client.Store.LIDs.GetLIDForPN(ctx, jid.ToNonAD()); err != nil {
			return nil
		}
	}
	if found.Server != types.HiddenUserServer || found.User == "" {
		return nil
	}
	return orNull(found.User + "@" + types.HiddenUserServer)
}

// learn lets the device learn the LIDs of those whom it knows by number only: WhatsApp answers changes of a group with
// LIDs, and without this nobody could tell which number an outcome belongs to. The change itself does without.
func learn(ctx context.Context, client *whatsmeow.Client, who []types.JID) error {
	var unknown []types.JID
	for _, jid := range who {
		if jid.Server == types.DefaultUserServer && lidOf(ctx, client, jid) == nil {
			unknown = append(unknown, jid)
		}
	}
	if len(unknown) > 0 {
		_, _ = client.GetUserInfo(ctx, unknown)
	}
	if err := ctx.Err(); err != nil {
		return beforehand{err}
	}
	return nil
}

// findable makes sure that whatsmeow can name somebody by LID; its own error for that has no type.
func findable(ctx context.Context, client *whatsmeow.Client, jid types.JID) error {
	if jid.Server != types.DefaultUserServer || lidOf(ctx, client, jid) != nil {
		return nil
	}
	if _, err := client.GetUserInfo(ctx, []types.JID{jid}); err != nil {
		return beforehand{err}
	}
	if lidOf(ctx, client, jid) == nil {
		return refuse("NotFound", "the number is not on WhatsApp")
	}
	return nil
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func firstOf(texts ...*string) *string {
	for _, text := range texts {
		if text != nil {
			return text
		}
	}
	return nil
}
