package calls

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

// markRead tells the sender that messages were read, or played: all of one chat and one sender.
func markRead(in *arguments) action {
	ids, chat, sender := in.texts("message_ids"), in.anyJID("chat"), in.anyJID("sender")
	if len(ids) == 0 || slices.ContainsFunc(ids, func(id string) bool { return id == "" || strings.Contains(id, " ") }) {
		in.refuse("message ids are words")
	}
	kind := types.ReceiptTypeRead
	if in.optionalFlag("played") {
		kind = types.ReceiptTypePlayed
	}
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		// Without the settings whatsmeow would tell the sender although the account may have forbidden it.
		if _, err := client.TryFetchPrivacySettings(ctx, false); err != nil {
			return nil, beforehand{err}
		}
		return nil, client.MarkRead(ctx, ids, time.Now(), chat, sender, kind)
	}
}

// presence shows the account as available or not. Refused until WhatsApp has told the account's push name.
func presence(in *arguments) action {
	shown := types.PresenceUnavailable
	if in.flag("available") {
		shown = types.PresenceAvailable
	}
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.SendPresence(ctx, shown)
	}
}

type chatState struct {
	state types.ChatPresence
	media types.ChatPresenceMedia
}

var chatStates = map[string]chatState{
	"composing": {types.ChatPresenceComposing, types.ChatPresenceMediaText},
	"recording": {types.ChatPresenceComposing, types.ChatPresenceMediaAudio},
	"paused":    {types.ChatPresencePaused, types.ChatPresenceMediaText},
}

// chatPresence shows the other side that we are composing or recording, or no longer.
func chatPresence(in *arguments) action {
	chat := in.anyJID("chat")
	shown := oneOf(in, "state", "the state is one of composing, recording, paused", chatStates)
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.SendChatPresence(ctx, chat, shown.state, shown.media)
	}
}

// subscribePresence asks to be told when somebody comes online (events PresenceChanged).
func subscribePresence(in *arguments) action {
	whom := in.anyJID("jid")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.SubscribePresence(ctx, whom)
	}
}

// rejectCall declines a call that is offered.
func rejectCall(in *arguments) action {
	caller, id := in.anyJID("from"), in.text("call_id")
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		return nil, client.RejectCall(ctx, caller, id)
	}
}

// usualHistory is how many messages whatsmeow recommends to ask for at a time; mostHistory is more than a phone gives.
const (
	usualHistory = 50
	mostHistory  = 500
)

// requestHistory asks the own phone for messages of a chat that are older than one that is known. They come as a history
// of type ON_DEMAND; the answer here is only the id of the request.
func requestHistory(in *arguments) action {
	oldest := types.MessageInfo{ID: in.words("message_id", "message ids are words")}
	oldest.Chat, oldest.IsFromMe = in.chat("chat"), in.flag("from_me")
	oldest.Timestamp = time.Unix(in.integer("timestamp"), 0)
	count := in.between("count", usualHistory, 1, mostHistory)
	return func(ctx context.Context, client *whatsmeow.Client) (any, error) {
		sent, err := client.SendPeerMessage(ctx, client.BuildHistorySyncRequest(&oldest, int(count)))
		if err != nil {
			return nil, err
		}
		return map[string]string{"message_id": sent.ID}, nil
	}
}
