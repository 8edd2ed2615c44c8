package inbound

import (
	"reflect"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waVnameCert"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/journal"
)

var (
	instant = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	lid     = types.JID{User: "1001", Device: 3, Server: types.HiddenUserServer}
	phone   = types.JID{User: "49151", Device: 3, Server: types.DefaultUserServer}
	other   = types.JID{User: "1002", Server: types.HiddenUserServer}
	group   = types.JID{User: "1203", Server: types.GroupServer}
	own     = Own{
		JID: types.JID{User: "49150", Device: 9, Server: types.DefaultUserServer},
		LID: types.JID{User: "1000", Device: 9, Server: types.HiddenUserServer},
	}
)

func info() types.MessageInfo {
	return types.MessageInfo{
		MessageSource: types.MessageSource{Chat: lid.ToNonAD(), Sender: lid, SenderAlt: phone},
		ID:            "3EB0", PushName: "Ann", Timestamp: instant,
	}
}

func said(raw *waE2E.Message) *events.Message {
	return (&events.Message{Info: info(), RawMessage: raw}).UnwrapRaw()
}

func text(words string) *waE2E.Message { return &waE2E.Message{Conversation: proto.String(words)} }

func wrapped(inner *waE2E.Message) *waE2E.FutureProofMessage {
	return &waE2E.FutureProofMessage{Message: inner}
}

func recordOf(t *testing.T, event *events.Message) journal.InboundMessage {
	t.Helper()
	record, _, ok := Record(event, own, instant)
	message, is := record.(journal.InboundMessage)
	if !ok || !is {
		t.Fatalf("%T instead of a message", record)
	}
	return message
}

func word(text *string) string {
	if text == nil {
		return "<nil>"
	}
	return *text
}

func TestKindsAndTexts(t *testing.T) {
	for _, each := range []struct {
		message *waE2E.Message
		kind    string
		text    string
	}{
		{text("hi"), "text", "hi"},
		{&waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("hi")}}, "text", "hi"},
		{&waE2E.Message{ImageMessage: &waE2E.ImageMessage{Caption: proto.String("look")}}, "image", "look"},
		{&waE2E.Message{ImageMessage: &waE2E.ImageMessage{}}, "image", "<nil>"},
		{&waE2E.Message{VideoMessage: &waE2E.VideoMessage{Caption: proto.String("look")}}, "video", "look"},
		{&waE2E.Message{PtvMessage: &waE2E.VideoMessage{Caption: proto.String("look")}}, "video", "look"},
		{&waE2E.Message{AudioMessage: &waE2E.AudioMessage{}}, "audio", "<nil>"},
		{&waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{Caption: proto.String("read")}}, "document", "read"},
		{&waE2E.Message{StickerMessage: &waE2E.StickerMessage{}}, "sticker", "<nil>"},
		{&waE2E.Message{LocationMessage: &waE2E.LocationMessage{}}, "location", "<nil>"},
		{&waE2E.Message{LiveLocationMessage: &waE2E.LiveLocationMessage{}}, "location", "<nil>"},
		{&waE2E.Message{ContactMessage: &waE2E.ContactMessage{}}, "contact", "<nil>"},
		{&waE2E.Message{ContactsArrayMessage: &waE2E.ContactsArrayMessage{}}, "contact", "<nil>"},
		{&waE2E.Message{PollCreationMessage: &waE2E.PollCreationMessage{}}, "poll", "<nil>"},
		{&waE2E.Message{PollCreationMessageV2: &waE2E.PollCreationMessage{}}, "poll", "<nil>"},
		{&waE2E.Message{PollCreationMessageV3: &waE2E.PollCreationMessage{}}, "poll", "<nil>"},
		{&waE2E.Message{PollUpdateMessage: &waE2E.PollUpdateMessage{}}, "poll_vote", "<nil>"},
		{&waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{Text: proto.String("👍")}}, "reaction", "👍"},
		{&waE2E.Message{EncReactionMessage: &waE2E.EncReactionMessage{}}, "reaction", "<nil>"},
		{&waE2E.Message{GroupInviteMessage: &waE2E.GroupInviteMessage{}}, "other", "<nil>"},
		{&waE2E.Message{Conversation: proto.String("")}, "text", "<nil>"},
		{&waE2E.Message{Conversation: proto.String("a\xff\xfeb")}, "text", "a��b"},
		{
			&waE2E.Message{Conversation: proto.String("hi"), SenderKeyDistributionMessage: &waE2E.SenderKeyDistributionMessage{}},
			"text", "hi",
		},
		{&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_REVOKE.Enum()}}, "revoked", "<nil>"},
		{&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{}}, "revoked", "<nil>"}, // the default of its type
		{&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_EPHEMERAL_SETTING.Enum()}}, "system", "<nil>"},
		{
			&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), EditedMessage: text("better")}},
			"edited", "better",
		},
		{&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum()}}, "edited", "<nil>"},
	} {
		record := recordOf(t, said(each.message))
		if record.Type != each.kind || word(record.Text) != each.text {
			t.Errorf("%v: %s %q instead of %s %q", each.message, record.Type, word(record.Text), each.kind, each.text)
		}
		var raw waE2E.Message
		if err := proto.Unmarshal(record.Raw, &raw); err != nil || !proto.Equal(&raw, each.message) {
			t.Errorf("%v: its raw is %v (%v)", each.message, &raw, err)
		}
		if record.IsEdit != (each.kind == "edited") {
			t.Errorf("%v: is an edit: %v", each.message, record.IsEdit)
		}
	}
}

func TestKeysAndNoticesAreNoMessages(t *testing.T) {
	keys := &waE2E.SenderKeyDistributionMessage{GroupID: proto.String("g")}
	for _, message := range []*waE2E.Message{
		nil,
		{},
		{SenderKeyDistributionMessage: keys},
		{SenderKeyDistributionMessage: keys, MessageContextInfo: &waE2E.MessageContextInfo{}},
		{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE.Enum()}},
		{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION.Enum()}},
	} {
		if record, isMessage, ok := Record(said(message), own, instant); record != nil || !isMessage || !ok {
			t.Errorf("%v: (%v, %v, %v)", message, record, isMessage, ok)
		}
	}
}

func TestWrappersAreRemoved(t *testing.T) {
	picture := &waE2E.Message{ImageMessage: &waE2E.ImageMessage{Caption: proto.String("look")}}
	type marks struct{ ephemeral, viewOnce, edit bool }
	for name, each := range map[string]struct {
		raw   *waE2E.Message
		marks marks
	}{
		"bare":                  {picture, marks{}},
		"ephemeral":             {&waE2E.Message{EphemeralMessage: wrapped(picture)}, marks{ephemeral: true}},
		"view once":             {&waE2E.Message{ViewOnceMessage: wrapped(picture)}, marks{viewOnce: true}},
		"view once 2":           {&waE2E.Message{ViewOnceMessageV2: wrapped(picture)}, marks{viewOnce: true}},
		"view once 2 extension": {&waE2E.Message{ViewOnceMessageV2Extension: wrapped(picture)}, marks{viewOnce: true}},
		"document with caption": {&waE2E.Message{DocumentWithCaptionMessage: wrapped(picture)}, marks{}},
		"lottie sticker":        {&waE2E.Message{LottieStickerMessage: wrapped(picture)}, marks{}},
		"bot":                   {&waE2E.Message{BotInvokeMessage: wrapped(picture)}, marks{}},
		"edited":                {&waE2E.Message{EditedMessage: wrapped(picture)}, marks{edit: true}},
		"own device":            {&waE2E.Message{DeviceSentMessage: &waE2E.DeviceSentMessage{Message: picture}}, marks{}},
		"own device, ephemeral, view once": {
			&waE2E.Message{DeviceSentMessage: &waE2E.DeviceSentMessage{
				Message: &waE2E.Message{EphemeralMessage: wrapped(&waE2E.Message{ViewOnceMessageV2: wrapped(picture)})},
			}},
			marks{ephemeral: true, viewOnce: true},
		},
	} {
		record := recordOf(t, said(each.raw))
		if got := (marks{record.IsEphemeral, record.IsViewOnce, record.IsEdit}); got != each.marks {
			t.Errorf("%s: %+v", name, got)
		}
		if want := recordOf(t, said(picture)); record.Type != "image" || word(record.Text) != "look" || !reflect.DeepEqual(record.Raw, want.Raw) {
			t.Errorf("%s: %s %q", name, record.Type, word(record.Text))
		}
	}
}

func TestWhoAndWhere(t *testing.T) {
	for name, each := range map[string]struct {
		source      types.MessageSource
		chat        string
		chatPhone   string
		sender      string
		senderPhone string
	}{
		"somebody": {
			types.MessageSource{Chat: lid.ToNonAD(), Sender: lid, SenderAlt: phone}, "1001@lid", "49151", "1001@lid", "49151",
		},
		"somebody by phone": {
			types.MessageSource{Chat: phone.ToNonAD(), Sender: phone, SenderAlt: lid},
			"49151@s.whatsapp.net", "49151", "49151@s.whatsapp.net", "49151",
		},
		"somebody without a number": {
			types.MessageSource{Chat: lid.ToNonAD(), Sender: lid}, "1001@lid", "<nil>", "1001@lid", "<nil>",
		},
		"own": {
			types.MessageSource{Chat: other, Sender: own.LID, IsFromMe: true, RecipientAlt: types.NewJID("49170", types.DefaultUserServer)},
			"1002@lid", "49170", "1000@lid", "49150",
		},
		"group": {
			types.MessageSource{Chat: group, Sender: lid, SenderAlt: phone, IsGroup: true}, "1203@g.us", "<nil>", "1001@lid", "49151",
		},
		"nobody": {types.MessageSource{}, "", "<nil>", "", "<nil>"},
		"server": {types.MessageSource{Chat: types.ServerJID, Sender: types.ServerJID}, "s.whatsapp.net", "<nil>", "s.whatsapp.net", "<nil>"},
	} {
		event := said(text("hi"))
		event.Info.MessageSource = each.source
		record := recordOf(t, event)
		got := [4]string{record.Chat, word(record.ChatPhone), record.Sender, word(record.SenderPhone)}
		if want := [4]string{each.chat, each.chatPhone, each.sender, each.senderPhone}; got != want {
			t.Errorf("%s: %q", name, got)
		}
		if record.FromMe != each.source.IsFromMe || record.Group != each.source.IsGroup {
			t.Errorf("%s: from me %v, group %v", name, record.FromMe, record.Group)
		}
	}
}

func TestWhatSurroundsAMessage(t *testing.T) {
	event := said(text("hi"))
	event.Info.ServerID, event.Info.MediaType, event.Info.Edit = 123, "url", types.EditAttributeAdminEdit
	event.Info.BroadcastListOwner = own.LID
	event.Info.VerifiedName = &types.VerifiedName{Details: &waVnameCert.VerifiedNameCertificate_Details{VerifiedName: proto.String("Shop")}}
	event.RetryCount, event.UnavailableRequestID = 2, "3EB1"
	record := recordOf(t, event)
	if record.ServerID == nil || *record.ServerID != 123 || word(record.MediaType) != "url" || record.Edit != "3" {
		t.Errorf("%+v", record)
	}
	if word(record.BroadcastOwner) != "1000@lid" || word(record.VerifiedName) != "Shop" || record.Retries != 2 || !record.ResentByPhone {
		t.Errorf("%+v", record)
	}
	bare := said(text("hi"))
	bare.RetryCount, bare.Info.VerifiedName = -1, &types.VerifiedName{}
	record = recordOf(t, bare)
	if record.ServerID != nil || record.MediaType != nil || record.BroadcastOwner != nil || record.VerifiedName != nil || record.Retries != 0 {
		t.Errorf("%+v", record)
	}
	if record.WaID != "3EB0" || record.PushName != "Ann" || !record.Timestamp.Equal(instant) {
		t.Errorf("%+v", record)
	}
}

func TestMessagesOfANewsletterChangeNoKeys(t *testing.T) {
	event := said(text("news"))
	if _, isMessage, _ := Record(event, own, instant); !isMessage {
		t.Error("a chat's message does")
	}
	event.Info.Chat = types.NewJID("120", types.NewsletterServer)
	if record, isMessage, ok := Record(event, own, instant); record == nil || isMessage || !ok {
		t.Errorf("(%v, %v, %v)", record, isMessage, ok)
	}
}

func TestAMessageThatComesAgainHasItsIDAndNoOtherHas(t *testing.T) {
	ids := map[string]string{}
	for name, change := range map[string]func(*events.Message){
		"as it is":   func(*events.Message) {},
		"id":         func(event *events.Message) { event.Info.ID = "3EB1" },
		"chat":       func(event *events.Message) { event.Info.Chat = group },
		"sender":     func(event *events.Message) { event.Info.Sender = other },
		"edit":       func(event *events.Message) { event.Info.Edit = types.EditAttributeMessageEdit },
		"kind":       func(event *events.Message) { event.Message = &waE2E.Message{ImageMessage: &waE2E.ImageMessage{}} },
		"resent":     func(event *events.Message) { event.UnavailableRequestID = "x" },
		"first edit": func(event *events.Message) { event.NewsletterMeta = &events.NewsletterMessageMeta{EditTS: instant} },
		"second edit": func(event *events.Message) {
			event.NewsletterMeta = &events.NewsletterMessageMeta{EditTS: instant.Add(1e9)}
		},
	} {
		event, again := said(text("hi")), said(text("hi"))
		change(event)
		change(again)
		again.RetryCount = 3
		id := recordOf(t, event).EventID
		if id != recordOf(t, again).EventID || len(id) != 32 {
			t.Errorf("%s: %q", name, id)
		}
		if before, known := ids[id]; known {
			t.Errorf("%s and %s have one id", name, before)
		}
		ids[id] = name
	}
}

func TestUndecryptable(t *testing.T) {
	for _, each := range []struct {
		event               events.UndecryptableMessage
		unavailable, hidden bool
	}{
		{events.UndecryptableMessage{Info: info()}, false, false},
		{events.UndecryptableMessage{Info: info(), IsUnavailable: true, UnavailableType: events.UnavailableTypeViewOnce}, true, false},
		{events.UndecryptableMessage{Info: info(), DecryptFailMode: events.DecryptFailHide}, false, true},
	} {
		kept, isMessage, ok := Record(&each.event, own, instant)
		record, is := kept.(journal.InboundUndecryptable)
		if !is || isMessage || !ok || record.Unavailable != each.unavailable || record.Hidden != each.hidden || record.AlreadyDecrypted {
			t.Errorf("%+v %v %v", kept, isMessage, ok)
		}
		if record.WaID != "3EB0" || record.Chat != "1001@lid" || word(record.ChatPhone) != "49151" || word(record.SenderPhone) != "49151" {
			t.Errorf("%+v", record)
		}
	}
}

func TestTimesThatPythonHasNoWordFor(t *testing.T) {
	for _, each := range []struct{ told, kept time.Time }{
		{instant, instant},
		{time.Unix(1<<62, 0), latest},
		{time.Unix(-1<<62, 0), earliest},
		{time.Time{}, earliest},
	} {
		event := said(text("hi"))
		event.Info.Timestamp = each.told
		if got := recordOf(t, event).Timestamp; !got.Equal(each.kept) {
			t.Errorf("%v: %v", each.told, got)
		}
	}
}

func FuzzMessagesNeverPanic(f *testing.F) {
	for _, message := range []*waE2E.Message{
		text("hi"),
		{EphemeralMessage: wrapped(&waE2E.Message{ViewOnceMessageV2: wrapped(text("x"))})},
		{ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), EditedMessage: text("y"), Key: &waCommon.MessageKey{}}},
		{DeviceSentMessage: &waE2E.DeviceSentMessage{Message: text("z")}},
	} {
		f.Add(marshal(message), "3EB0", int64(0), int16(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, words string, seconds int64, retries int16) {
		var raw waE2E.Message
		if proto.Unmarshal(data, &raw) != nil {
			return
		}
		event := said(&raw)
		event.Info.ID, event.Info.PushName, event.Info.MediaType = words, words, words
		event.Info.Sender.User, event.Info.Edit = words, types.EditAttribute(words)
		event.Info.Timestamp, event.RetryCount = time.Unix(seconds, 0), int(retries)
		record, isMessage, ok := Record(event, own, instant)
		if !isMessage || !ok {
			t.Fatal("a message that is none")
		}
		if record == nil {
			return
		}
		message, is := record.(journal.InboundMessage)
		if !is {
			t.Fatalf("%+v: the conversion panicked", record)
		}
		again, _, _ := Record(event, own, instant)
		if !reflect.DeepEqual(again, record) {
			t.Fatal("the same event makes two records")
		}
		if _, err := journal.Payload(message); err != nil {
			t.Fatal(err)
		}
		var kept waE2E.Message
		if err := proto.Unmarshal(message.Raw, &kept); err != nil || !proto.Equal(&kept, event.Message) {
			t.Fatalf("raw says something else: %v", err)
		}
	})
}
