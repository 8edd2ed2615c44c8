package calls

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/inbound"
)

var digits = regexp.MustCompile(`^[1-9][0-9]{4,19}$`)

type numberCheck struct {
	Phone        string  `json:"phone"`
	Registered   bool    `json:"registered"`
	JID          *string `json:"jid"`
	LID          *string `json:"lid"`
	BusinessName *string `json:"business_name"`
}

// isOnWhatsApp tells which phone numbers have an account: one entry for each, in the order asked.
func isOnWhatsApp(in *arguments) action {
	phones := in.texts("phones")
	if len(phones) == 0 || slices.ContainsFunc(phones, func(phone string) bool { return !digits.MatchString(phone) }) {
		in.refuse("phone numbers are digits with country code")
	}
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		asked := make([]string, len(phones))
		for i, phone := range phones {
			asked[i] = "+" + phone
		}
		answered, err := client.IsOnWhatsApp(ctx, asked)
		if err != nil {
			return nil, err
		}
		found := make(map[string]types.IsOnWhatsAppResponse, len(answered))
		for _, one := range answered {
			if one.IsIn {
				found[strings.TrimLeft(one.Query, "+")] = one
			}
		}
		checks := make([]numberCheck, len(phones))
		for i, phone := range phones {
			checks[i].Phone = phone
			if one, ok := found[phone]; ok {
				checks[i].Registered = true
				checks[i].JID = orNull(phone + "@" + types.DefaultUserServer)
				checks[i].LID = lidOf(ctx, client, one.JID)
				checks[i].BusinessName = businessName(ctx, client, one.JID, one.VerifiedName)
			}
		}
		return checks, nil
	}
}

type userShown struct {
	person
	About        *string `json:"about"`
	PictureID    *string `json:"picture_id"`
	BusinessName *string `json:"business_name"`
	Devices      int     `json:"devices"`
}

// userInfo tells what persons show of themselves. Who is unknown is left out.
func userInfo(in *arguments) action {
	asked := in.persons("jids")
	if len(asked) == 0 {
		in.refuse("nobody is named")
	}
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		infos, err := client.GetUserInfo(ctx, asked)
		if err != nil {
			return nil, err
		}
		shown := make([]userShown, 0, len(infos))
		for _, jid := range inOrder(infos) {
			info := infos[jid]
			shown = append(shown, userShown{
				person:       personOf(ctx, client, jid),
				About:        orNull(info.Status),
				PictureID:    orNull(info.PictureID),
				BusinessName: businessName(ctx, client, jid, info.VerifiedName),
				Devices:      len(info.Devices),
			})
		}
		return shown, nil
	}
}

type picture struct {
	URL        string  `json:"url"`
	ID         *string `json:"id"`
	Type       *string `json:"type"`
	DirectPath *string `json:"direct_path"`
}

// avatar tells where the picture of a person or group can be fetched for a while.
func avatar(in *arguments) action {
	whose, preview := in.chat("jid"), in.optionalFlag("preview")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		found, err := pictureOf(ctx, client, whose, preview)
		if err != nil {
			return nil, err
		}
		return picture{found.URL, orNull(found.ID), orNull(found.Type), orNull(found.DirectPath)}, nil
	}
}

func pictureOf(
	ctx context.Context, client *whatsmeow.Client, whose types.JID, preview bool,
) (*types.ProfilePictureInfo, error) {
	found, err := client.GetProfilePictureInfo(ctx, whose, &whatsmeow.GetProfilePictureParams{Preview: preview})
	if err != nil {
		return nil, err
	}
	if found == nil || found.URL == "" {
		return nil, refuse("NotFound", "there is no picture")
	}
	return found, nil
}

type contact struct {
	person
	FullName     *string `json:"full_name"`
	FirstName    *string `json:"first_name"`
	PushName     *string `json:"push_name"`
	BusinessName *string `json:"business_name"`
}

// contacts are all whom this device knows by name. WhatsApp keeps a person under number and LID: they are put together.
func contacts(*arguments) action {
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		stored, err := client.Store.Contacts.GetAllContacts(ctx)
		if err != nil {
			return nil, err
		}
		all := make([]*contact, 0, len(stored))
		byPhone := make(map[string]*contact, len(stored))
		for _, jid := range inOrder(stored) {
			one := contactOf(ctx, client, jid, stored[jid])
			if one == nil {
				continue
			}
			if one.Phone == nil {
				all = append(all, one)
			} else if known := byPhone[*one.Phone]; known != nil {
				known.merge(one)
			} else {
				one.JID = *one.Phone + "@" + types.DefaultUserServer
				byPhone[*one.Phone] = one
				all = append(all, one)
			}
		}
		return all, nil
	}
}

func contactOf(ctx context.Context, client *whatsmeow.Client, jid types.JID, info types.ContactInfo) *contact {
	if jid.User == "" || (jid.Server != types.DefaultUserServer && jid.Server != types.HiddenUserServer) {
		return nil
	}
	one := &contact{
		person:       person{JID: inbound.PersonText(jid), Phone: phoneOf(ctx, client, jid)},
		FullName:     orNull(info.FullName),
		FirstName:    orNull(info.FirstName),
		PushName:     orNull(info.PushName),
		BusinessName: orNull(info.BusinessName),
	}
	if jid.Server == types.HiddenUserServer {
		one.LID = orNull(one.JID)
	}
	return one
}

func (known *contact) merge(other *contact) {
	known.LID = firstOf(known.LID, other.LID)
	known.FullName = firstOf(known.FullName, other.FullName)
	known.FirstName = firstOf(known.FirstName, other.FirstName)
	known.PushName = firstOf(known.PushName, other.PushName)
	known.BusinessName = firstOf(known.BusinessName, other.BusinessName)
}

// lid tells the LID of a phone number, if this device has learned it.
func lid(in *arguments) action {
	number := in.text("phone")
	if !digits.MatchString(number) {
		in.refuse("a phone number is digits with country code")
	}
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		found := lidOf(ctx, client, types.NewJID(number, types.DefaultUserServer))
		return map[string]*string{"lid": found}, nil
	}
}

// phone tells the phone number of a LID, if this device has learned it.
func phone(in *arguments) action {
	jid := in.jidOn("lid", types.HiddenUserServer)
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return map[string]*string{"phone": phoneOf(ctx, client, jid)}, nil
	}
}

// blocklist is whom this account has blocked.
func blocklist(*arguments) action {
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		known, err := client.GetBlocklist(ctx)
		if err != nil {
			return nil, err
		}
		return blocked(ctx, client, known), nil
	}
}

func block(in *arguments) action { return changeBlocklist(in, events.BlocklistChangeActionBlock) }

func unblock(in *arguments) action { return changeBlocklist(in, events.BlocklistChangeActionUnblock) }

// changeBlocklist answers with the list as it is then.
func changeBlocklist(in *arguments, wanted events.BlocklistChangeAction) action {
	whom := in.person("jid")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		if err := findable(ctx, client, whom); err != nil {
			return nil, err
		}
		known, err := client.UpdateBlocklist(ctx, whom, wanted)
		if err != nil {
			return nil, err
		}
		return blocked(ctx, client, known), nil
	}
}

func blocked(ctx context.Context, client *whatsmeow.Client, known *types.Blocklist) []person {
	persons := make([]person, 0, len(known.JIDs))
	for _, jid := range known.JIDs {
		if jid.User != "" {
			persons = append(persons, personOf(ctx, client, jid))
		}
	}
	return persons
}

// businessName: whatsmeow puts the name that a look-up brings into its contacts, and not always into the answer.
func businessName(ctx context.Context, client *whatsmeow.Client, jid types.JID, verified *types.VerifiedName) *string {
	if verified != nil && verified.Details.GetVerifiedName() != "" {
		return orNull(verified.Details.GetVerifiedName())
	}
	stored, err := client.Store.Contacts.GetContact(ctx, jid.ToNonAD())
	if err != nil {
		return nil
	}
	return orNull(stored.BusinessName)
}

// inOrder is the keys in an order that does not change: those by phone number first.
func inOrder[Value any](table map[types.JID]Value) []types.JID {
	jids := make([]types.JID, 0, len(table))
	for jid := range table {
		jids = append(jids, jid)
	}
	slices.SortFunc(jids, func(one, other types.JID) int {
		// "s.whatsapp.net" comes after "lid".
		if byServer := strings.Compare(other.Server, one.Server); byServer != 0 {
			return byServer
		}
		return strings.Compare(one.String(), other.String())
	})
	return jids
}
