package journal_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/proto/waVnameCert"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/inbound"
	"whatsam.io/engine/internal/journal"
)

// The files in testdata are what this test wrote with -update, and what tests/unit/connector_engine/test_engine_go_payloads.py compares with the
// records that the neonize adapter makes of the same events. Whoever changes one side changes the other.
var update = flag.Bool("update", false, "write the golden payloads anew")

var (
	instant = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	lid     = types.JID{User: "1001", Device: 3, Server: types.HiddenUserServer}
	other   = types.JID{User: "1002", Server: types.HiddenUserServer}
	phone   = types.JID{User: "49151", Device: 3, Server: types.DefaultUserServer}
	group   = types.JID{User: "1203", Server: types.GroupServer}
	channel = types.JID{User: "120", Server: types.NewsletterServer}
	own     = inbound.Own{
		JID: types.JID{User: "49150", Device: 9, Server: types.DefaultUserServer},
		LID: types.JID{User: "1000", Device: 9, Server: types.HiddenUserServer},
	}
)

func info(change ...func(*types.MessageInfo)) types.MessageInfo {
	made := types.MessageInfo{
		MessageSource: types.MessageSource{Chat: lid.ToNonAD(), Sender: lid, SenderAlt: phone}, ID: "3EB0", PushName: "Ann", Timestamp: instant,
	}
	for _, each := range change {
		each(&made)
	}
	return made
}

func inGroup(info *types.MessageInfo) { info.Chat, info.IsGroup = group, true }

func ownMessage(info *types.MessageInfo) {
	info.MessageSource = types.MessageSource{
		Chat: other, Sender: own.JID, IsFromMe: true, RecipientAlt: types.NewJID("49170", types.DefaultUserServer),
	}
}

func message(raw *waE2E.Message, change ...func(*types.MessageInfo)) *events.Message {
	return (&events.Message{Info: info(change...), RawMessage: raw}).UnwrapRaw()
}

func text(words string) *waE2E.Message { return &waE2E.Message{Conversation: proto.String(words)} }

func wrapped(inner *waE2E.Message) *waE2E.FutureProofMessage {
	return &waE2E.FutureProofMessage{Message: inner}
}

func messages() map[string]any {
	edit := message(&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), Key: &waCommon.MessageKey{ID: proto.String("3EAF")}, EditedMessage: text("better"),
	}}, inGroup, func(info *types.MessageInfo) { info.Edit = types.EditAttributeMessageEdit })
	edit.RetryCount = 2
	resent := message(text("late"))
	resent.UnavailableRequestID = "3EB1"
	return map[string]any{
		"message_text":    message(text("Grüße 👍 \"a\\b\"\n\t\x01\x7f</script>&\u2028")),
		"message_unclean": message(text("a\xff\xfeb")),
		"message_edit":    edit,
		"message_view_once": message(&waE2E.Message{EphemeralMessage: wrapped(&waE2E.Message{ViewOnceMessageV2: wrapped(
			&waE2E.Message{ImageMessage: &waE2E.ImageMessage{Caption: proto.String("look"), Mimetype: proto.String("image/jpeg")}},
		)})}, func(info *types.MessageInfo) { info.MediaType = "image" }),
		"message_own": message(&waE2E.Message{DeviceSentMessage: &waE2E.DeviceSentMessage{Message: text("from my phone")}}, ownMessage),
		"message_newsletter": message(text("news"), func(info *types.MessageInfo) {
			info.MessageSource = types.MessageSource{Chat: channel, Sender: channel}
			info.ServerID, info.Edit = 123, types.EditAttributeAdminEdit
		}),
		"message_business": message(&waE2E.Message{GroupInviteMessage: &waE2E.GroupInviteMessage{}}, func(info *types.MessageInfo) {
			info.BroadcastListOwner = own.LID
			info.VerifiedName = &types.VerifiedName{Details: &waVnameCert.VerifiedNameCertificate_Details{VerifiedName: proto.String("Shop")}}
		}),
		"message_reaction": message(&waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{
			Text: proto.String("👍"), Key: &waCommon.MessageKey{ID: proto.String("3EAF")},
		}}),
		"message_revoked": message(&waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
			Type: waE2E.ProtocolMessage_REVOKE.Enum(), Key: &waCommon.MessageKey{ID: proto.String("3EAF")},
		}}, func(info *types.MessageInfo) { info.Edit = types.EditAttributeSenderRevoke }),
		"message_resent":            resent,
		"undecryptable":             &events.UndecryptableMessage{Info: info()},
		"undecryptable_hidden":      &events.UndecryptableMessage{Info: info(inGroup), DecryptFailMode: events.DecryptFailHide},
		"undecryptable_unavailable": &events.UndecryptableMessage{Info: info(ownMessage), IsUnavailable: true},
	}
}

func receipts() map[string]any {
	made := map[string]any{}
	for _, kind := range []types.ReceiptType{"", "inactive", "sender", "retry", "read", "read-self", "played", "played-self"} {
		name := string(kind)
		if name == "" {
			name = "delivered"
		}
		made["receipt_"+name] = &events.Receipt{
			MessageSource: types.MessageSource{Chat: group, Sender: lid, SenderAlt: phone, IsGroup: kind == "read"},
			MessageIDs:    []string{"3EB0", "3EB1"}, Timestamp: instant, Type: kind,
		}
	}
	return made
}

func calls() map[string]any {
	meta := types.BasicCallMeta{From: other, Timestamp: instant, CallCreator: lid, CallCreatorAlt: phone, CallID: "C1"}
	toGroup := meta
	toGroup.GroupJID = group
	return map[string]any{
		"call_offered":  &events.CallOffer{BasicCallMeta: meta, Data: &waBinary.Node{Tag: "offer", Content: []waBinary.Node{{Tag: "video"}}}},
		"call_group":    &events.CallOfferNotice{BasicCallMeta: toGroup, Media: "audio", Type: "group", Data: &waBinary.Node{Tag: "offer_notice"}},
		"call_accepted": &events.CallAccept{BasicCallMeta: meta, Data: &waBinary.Node{Tag: "accept"}},
		"call_ended":    &events.CallTerminate{BasicCallMeta: meta, Reason: "timeout", Data: &waBinary.Node{Tag: "terminate"}},
	}
}

func groups() map[string]any {
	link := "https://chat.whatsapp.com/x"
	return map[string]any{
		"group": &events.JoinedGroup{Reason: "invite", GroupInfo: types.GroupInfo{
			JID: group, OwnerJID: lid, GroupName: types.GroupName{Name: "Friends"}, GroupTopic: types.GroupTopic{Topic: "about"},
			GroupLocked: types.GroupLocked{IsLocked: true}, GroupEphemeral: types.GroupEphemeral{IsEphemeral: true, DisappearingTimer: 86400},
			ParticipantVersionID: "1", Participants: []types.GroupParticipant{
				{JID: lid, PhoneNumber: phone, IsAdmin: true, IsSuperAdmin: true}, {JID: other, IsAdmin: true}, {JID: phone},
			},
		}},
		"group_members": &events.GroupInfo{
			JID: group, Sender: &lid, Timestamp: instant, Join: []types.JID{other}, Leave: []types.JID{phone}, JoinReason: "invite",
			Promote: []types.JID{lid}, Demote: []types.JID{other},
		},
		"group_settings": &events.GroupInfo{
			JID: group, Timestamp: instant, Name: &types.GroupName{Name: "New"}, Topic: &types.GroupTopic{TopicDeleted: true},
			Locked: &types.GroupLocked{}, Announce: &types.GroupAnnounce{IsAnnounce: true}, Ephemeral: &types.GroupEphemeral{},
			Delete: &types.GroupDelete{Deleted: true}, NewInviteLink: &link, UnknownChanges: []*waBinary.Node{{Tag: "member_label"}},
		},
		"picture":         &events.Picture{JID: group, Author: lid, Timestamp: instant, PictureID: "7"},
		"picture_removed": &events.Picture{JID: lid, Timestamp: instant, Remove: true},
		"identity_change": &events.IdentityChange{JID: lid, Timestamp: instant},
		"unreadable":      (*events.Picture)(nil),
	}
}

func appStates() map[string]any {
	return map[string]any{
		"app_state_mute": &events.Mute{
			JID: lid.ToNonAD(), Timestamp: instant,
			Action: &waSyncAction.MuteAction{Muted: proto.Bool(true), MuteEndTimestamp: proto.Int64(-1)},
		},
		"app_state_contact": &events.Contact{
			JID: phone.ToNonAD(), Timestamp: instant.Add(-24 * time.Hour), FromFullSync: true,
			Action: &waSyncAction.ContactAction{FullName: proto.String("Ann Lee"), FirstName: proto.String("Ann"), LidJID: proto.String("1001@lid")},
		},
		"app_state_delete_for_me": &events.DeleteForMe{
			ChatJID: group, SenderJID: lid, MessageID: "3EB0", Timestamp: instant,
			Action: &waSyncAction.DeleteMessageForMeAction{DeleteMedia: proto.Bool(false), MessageTimestamp: proto.Int64(instant.Unix())},
		},
	}
}

func golden(t *testing.T) map[string]journal.Record {
	t.Helper()
	records := map[string]journal.Record{}
	for _, some := range []map[string]any{messages(), receipts(), calls(), groups(), appStates()} {
		for name, event := range some {
			record, _, ok := inbound.Record(event, own, instant)
			if !ok || record == nil {
				t.Fatalf("%s: no record", name)
			}
			records[name] = record
		}
	}
	records["undecryptable_lost"] = inbound.Lost("Ignoring message 3EB0 from 1001:3@lid in 1203@g.us: failed: old counter", own, instant)
	history := &waHistorySync.HistorySync{
		SyncType: waHistorySync.HistorySync_RECENT.Enum(), ChunkOrder: proto.Uint32(1),
		Conversations: []*waHistorySync.Conversation{{ID: proto.String("1001@lid")}},
	}
	records["history"] = inbound.History(history)[0]
	return records
}

func TestGoldenPayloads(t *testing.T) {
	records := golden(t)
	for name, record := range records {
		payload, err := journal.Payload(record)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		path := filepath.Join("testdata", name+".bin")
		if *update {
			if err := os.WriteFile(path, payload, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(path); err != nil || !bytes.Equal(payload, want) {
			t.Errorf("%s: %v\n%q\ninstead of\n%q", name, err, payload, want)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.bin"))
	if err != nil || len(files) != len(records) {
		t.Errorf("%d files for %d records (%v)", len(files), len(records), err)
	}
}

func TestEveryKindOfRecordHasAGoldenPayload(t *testing.T) {
	missing := map[string]bool{
		"InboundMessage": true, "InboundReceipt": true, "InboundUndecryptable": true, "InboundCall": true, "InboundGroup": true,
		"InboundGroupChange": true, "InboundPicture": true, "InboundIdentityChange": true, "InboundAppState": true,
		"InboundHistory": true, "InboundUnreadable": true,
	}
	for name, record := range golden(t) {
		delete(missing, record.Name())
		if payload, err := journal.Payload(record); err != nil || !strings.Contains(string(payload), `{"is":"`+record.Name()+`",`) {
			t.Errorf("%s does not say what it is: %v", name, err)
		}
	}
	if len(missing) > 0 {
		t.Error(missing)
	}
}
