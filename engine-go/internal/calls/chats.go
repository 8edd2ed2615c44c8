package calls

import (
	"context"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

type chatShown struct {
	Chat     string `json:"chat"`
	Archived bool   `json:"archived"`
	Pinned   bool   `json:"pinned"`
	Muted    bool   `json:"muted"`
	// MutedUntil is null for a chat that is not muted, or muted for ever.
	MutedUntil *int64 `json:"muted_until"`
}

// chatSettings tells what is set for chats, from the session's own file: WhatsApp is not asked.
func chatSettings(in *arguments) action {
	chats := in.chats("chats")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		now := time.Now()
		shown := make([]chatShown, len(chats))
		for i, chat := range chats {
			found, err := settingsOf(ctx, client, chat)
			if err != nil {
				return nil, err
			}
			shown[i] = chatOf(chat, found, now)
		}
		return shown, nil
	}
}

// forEver is a year: whatsmeow keeps "muted for ever" as a time in the year 9999.
const forEver = 9000

func chatOf(chat types.JID, found types.LocalChatSettings, now time.Time) chatShown {
	shown := chatShown{
		Chat:     chat.String(),
		Archived: found.Archived,
		Pinned:   found.Pinned,
		Muted:    found.MutedUntil.After(now),
	}
	if shown.Muted && found.MutedUntil.UTC().Year() < forEver {
		shown.MutedUntil = seconds(found.MutedUntil)
	}
	return shown
}

// settingsOf looks under both names of a person: the phone may have written its setting under the number or the LID.
func settingsOf(ctx context.Context, client *whatsmeow.Client, chat types.JID) (types.LocalChatSettings, error) {
	found, err := client.Store.ChatSettings.GetChatSettings(ctx, chat)
	if err != nil || found.Found {
		return found, err
	}
	other, err := client.Store.GetAltJID(ctx, chat)
	if err != nil || other.User == "" {
		return found, err
	}
	return client.Store.ChatSettings.GetChatSettings(ctx, other)
}

// archive puts a chat into the archive or takes it out; WhatsApp unpins what is archived.
func archive(in *arguments) action {
	chat, archived := in.chat("chat"), in.flag("archived")
	return patching(func() appstate.PatchInfo { return appstate.BuildArchive(chat, archived, time.Time{}, nil) })
}

func pin(in *arguments) action {
	chat, pinned := in.chat("chat"), in.flag("pinned")
	return patching(func() appstate.PatchInfo { return appstate.BuildPin(chat, pinned) })
}

// mute silences a chat until a time, or for ever, or no longer.
func mute(in *arguments) action {
	chat, muted, until := in.chat("chat"), in.flag("muted"), in.optionalInteger("until")
	var end *int64
	if until != nil && muted {
		if *until <= 0 || *until > store.MutedForever.Unix() {
			in.refuse("until is Unix time in seconds")
		}
		end = proto.Int64(time.Unix(*until, 0).UnixMilli())
	}
	return patching(func() appstate.PatchInfo { return appstate.BuildMuteAbs(chat, muted, end) })
}

// markUnread marks a chat as unread, or as read.
func markUnread(in *arguments) action {
	chat, unread := in.chat("chat"), in.flag("unread")
	return patching(func() appstate.PatchInfo { return appstate.BuildMarkChatAsRead(chat, !unread, time.Time{}, nil) })
}

// deleteChat deletes a chat on all devices; with keep only its messages. Files that the phone has saved stay.
func deleteChat(in *arguments) action {
	chat, keep := in.chat("chat"), in.optionalFlag("keep")
	return patching(func() appstate.PatchInfo {
		if keep {
			return clearing(chat, time.Now())
		}
		return appstate.BuildDeleteChat(chat, time.Time{}, nil, false)
	})
}

// clearVersion is WhatsApp's version of this kind of change.
const clearVersion = 6

// clearing is the change that deletes all messages of a chat, starred ones too, and keeps files; whatsmeow has none.
func clearing(chat types.JID, now time.Time) appstate.PatchInfo {
	const starredToo, filesToo = "1", "0"
	return appstate.PatchInfo{
		Type: appstate.WAPatchRegularHigh,
		Mutations: []appstate.MutationInfo{{
			Index:   []string{appstate.IndexClearChat, chat.String(), starredToo, filesToo},
			Version: clearVersion,
			Value: &waSyncAction.SyncActionValue{ClearChatAction: &waSyncAction.ClearChatAction{
				MessageRange: &waSyncAction.SyncActionMessageRange{LastMessageTimestamp: proto.Int64(now.Unix())},
			}},
		}},
	}
}

func patching(build func() appstate.PatchInfo) action {
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, patch(ctx, client, build())
	}
}

// setDisappearing lets messages of a chat disappear after some seconds; 0 for never. In a group it is a setting; to a
// person it is a message, which moves the sending chain like any other.
func setDisappearing(in *arguments) action {
	chat, after := in.chat("chat"), in.integer("seconds")
	switch after {
	case 0, 86_400, 604_800, 7_776_000:
	default: // WhatsApp's apps ignore others
		in.refuse("WhatsApp knows 0, 86400, 604800, 7776000 seconds")
	}
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		if err := findable(ctx, client, chat); err != nil {
			return nil, err
		}
		return nil, client.SetDisappearingTimer(ctx, chat, time.Duration(after)*time.Second, time.Now())
	}
}
