package calls

import (
	"context"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/types"

	"whatsam.io/engine/internal/inbound"
)

// A category is one privacy setting: WhatsApp's name for it, and what it takes (whatsmeow, types/user.go).
type category struct {
	setting types.PrivacySettingType
	values  []string
}

var whoValues = []string{"all", "contacts", "contact_blacklist", "none"}

// categories by our names. profile is the picture, status the about text.
var categories = map[string]category{
	"group_add":     {types.PrivacySettingTypeGroupAdd, whoValues},
	"last_seen":     {types.PrivacySettingTypeLastSeen, whoValues},
	"status":        {types.PrivacySettingTypeStatus, whoValues},
	"profile":       {types.PrivacySettingTypeProfile, whoValues},
	"read_receipts": {types.PrivacySettingTypeReadReceipts, []string{"all", "none"}},
	"online":        {types.PrivacySettingTypeOnline, []string{"all", "match_last_seen"}},
	"call_add":      {types.PrivacySettingTypeCallAdd, []string{"all", "known"}},
}

type privacyShown struct {
	GroupAdd     *string `json:"group_add"`
	LastSeen     *string `json:"last_seen"`
	Status       *string `json:"status"`
	Profile      *string `json:"profile"`
	ReadReceipts *string `json:"read_receipts"`
	Online       *string `json:"online"`
	CallAdd      *string `json:"call_add"`
}

func privacyOf(settings types.PrivacySettings) privacyShown {
	word := func(value types.PrivacySetting) *string { return orNull(string(value)) }
	return privacyShown{
		GroupAdd:     word(settings.GroupAdd),
		LastSeen:     word(settings.LastSeen),
		Status:       word(settings.Status),
		Profile:      word(settings.Profile),
		ReadReceipts: word(settings.ReadReceipts),
		Online:       word(settings.Online),
		CallAdd:      word(settings.CallAdd),
	}
}

// privacy tells who sees what of this account.
func privacy(*arguments) action {
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		settings, err := client.TryFetchPrivacySettings(ctx, true)
		if err != nil {
			return nil, err
		}
		shown := privacyOf(*settings)
		if shown == (privacyShown{}) {
			return nil, refuse("Failed", "WhatsApp did not tell the privacy settings")
		}
		return shown, nil
	}
}

// setPrivacy changes one setting and answers with all of them as they are then.
func setPrivacy(in *arguments) action {
	name, value := in.text("name"), in.text("value")
	wanted, ok := categories[name]
	if !ok {
		in.refuse("the setting is one of group_add, last_seen, status, profile, read_receipts, online, call_add")
	} else if !slices.Contains(wanted.values, value) {
		in.refuse(name + " is one of " + strings.Join(wanted.values, ", "))
	}
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		// whatsmeow needs the others for its answer; once fetched it does not ask for them again.
		if _, err := client.TryFetchPrivacySettings(ctx, false); err != nil {
			return nil, beforehand{err}
		}
		settings, err := client.SetPrivacySetting(ctx, wanted.setting, types.PrivacySetting(value))
		if err != nil {
			return nil, err
		}
		return privacyOf(settings), nil
	}
}

type ownProfile struct {
	JID          string  `json:"jid"`
	Phone        string  `json:"phone"`
	LID          *string `json:"lid"`
	Name         *string `json:"name"`
	BusinessName *string `json:"business_name"`
	Platform     *string `json:"platform"`
	About        *string `json:"about"`
	PictureID    *string `json:"picture_id"`
	PictureURL   *string `json:"picture_url"`
}

// profile tells name, about and picture of this account.
func profile(*arguments) action {
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		own := client.Store.GetJID().ToNonAD()
		if own.IsEmpty() {
			return nil, notConnected()
		}
		infos, err := client.GetUserInfo(ctx, []types.JID{own})
		if err != nil {
			return nil, err
		}
		var pictureURL *string
		found, err := pictureOf(ctx, client, own, false)
		if err == nil {
			pictureURL = orNull(found.URL)
		} else if refusal := refusalOf(err); refusal == nil || refusal.Code != "NotFound" {
			return nil, err
		}
		info := infos[own]
		return ownProfile{
			JID:          inbound.PersonText(own),
			Phone:        own.User,
			LID:          orNull(inbound.PersonText(client.Store.GetLID())),
			Name:         orNull(client.Store.PushName),
			BusinessName: orNull(client.Store.BusinessName),
			Platform:     orNull(client.Store.Platform),
			About:        orNull(info.Status),
			PictureID:    orNull(info.PictureID),
			PictureURL:   pictureURL,
		}, nil
	}
}

// setProfileName changes the name that others see. Refused until the phone has shared its keys for settings.
func setProfileName(in *arguments) action {
	name := in.words("name", "this needs a text")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, patch(ctx, client, appstate.BuildSettingPushName(name))
	}
}

// setAbout changes the about text; an empty one removes it.
func setAbout(in *arguments) action {
	about := in.text("about")
	if strings.ContainsRune(about, 0) {
		in.refuse("this needs a text")
	}
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.SetStatusMessage(ctx, types.SetStatusInput{Text: &about})
	}
}

// setProfilePicture changes the own picture to the JPEG at path, or removes it.
func setProfilePicture(in *arguments) action { return setPicture(in, types.EmptyJID) }

type pictureSet struct {
	// PictureID is null for a picture that was removed.
	PictureID *string `json:"picture_id"`
}

// setPicture changes the picture of a group, or the own one (the empty JID).
func setPicture(in *arguments, whose types.JID) action {
	path := in.optionalText("path")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		content, err := jpeg(path)
		if err != nil {
			return nil, err
		}
		id, err := client.SetGroupPhoto(ctx, whose, content)
		if err != nil {
			return nil, err
		}
		if content == nil {
			return pictureSet{}, nil
		}
		return pictureSet{orNull(id)}, nil
	}
}
