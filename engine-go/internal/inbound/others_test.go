package inbound

import (
	"reflect"
	"testing"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/journal"
	"whatsam.io/engine/internal/protocol"
)

func kept[Kind any](t *testing.T, event any) Kind {
	t.Helper()
	record, isMessage, ok := Record(event, own, instant)
	found, is := record.(Kind)
	if !is || isMessage || !ok {
		t.Fatalf("%T: (%T, %v, %v)", event, record, isMessage, ok)
	}
	return found
}

func TestReceipts(t *testing.T) {
	for told, want := range map[types.ReceiptType]journal.ReceiptKind{
		types.ReceiptTypeDelivered:   journal.ReceiptDelivered,
		types.ReceiptTypeInactive:    journal.ReceiptDelivered,
		types.ReceiptTypeSender:      journal.ReceiptSender,
		types.ReceiptTypeRetry:       journal.ReceiptRetry,
		types.ReceiptTypeRead:        journal.ReceiptRead,
		types.ReceiptTypeReadSelf:    journal.ReceiptReadSelf,
		types.ReceiptTypePlayed:      journal.ReceiptPlayed,
		types.ReceiptTypePlayedSelf:  journal.ReceiptPlayedSelf,
		types.ReceiptTypeServerError: "",
		types.ReceiptTypePeerMsg:     "",
		types.ReceiptTypeHistorySync: "",
		"something new":              "",
	} {
		event := &events.Receipt{MessageSource: info().MessageSource, MessageIDs: []string{"a", "b"}, Timestamp: instant, Type: told}
		if want == "" {
			if record, _, ok := Record(event, own, instant); record != nil || ok {
				t.Errorf("%q: %v", told, record)
			}
			continue
		}
		record := kept[journal.InboundReceipt](t, event)
		if record.Kind != want || !reflect.DeepEqual(record.WaIDs, []string{"a", "b"}) || !record.Timestamp.Equal(instant) {
			t.Errorf("%q: %+v", told, record)
		}
		if record.Chat != "1001@lid" || word(record.ChatPhone) != "49151" || record.Sender != "1001@lid" || word(record.SenderPhone) != "49151" {
			t.Errorf("%q: %+v", told, record)
		}
		otherDevice := *event
		otherDevice.Sender.Device++
		if record.EventID == kept[journal.InboundReceipt](t, &otherDevice).EventID || record.EventID != kept[journal.InboundReceipt](t, event).EventID {
			t.Errorf("%q: its id is not its own", told)
		}
	}
}

func meta() types.BasicCallMeta {
	return types.BasicCallMeta{From: other, Timestamp: instant, CallCreator: lid, CallCreatorAlt: phone, CallID: "C1"}
}

func TestCalls(t *testing.T) {
	video := &waBinary.Node{Tag: "offer", Content: []waBinary.Node{{Tag: "audio"}, {Tag: "video"}}}
	audio := &waBinary.Node{Tag: "offer", Content: []waBinary.Node{{Tag: "audio"}}}
	toGroup, fromNobody := meta(), meta()
	toGroup.GroupJID = group
	fromNobody.CallCreator, fromNobody.CallCreatorAlt = types.JID{}, types.JID{}
	for name, each := range map[string]struct {
		event any
		want  journal.InboundCall
	}{
		"video":          {&events.CallOffer{BasicCallMeta: meta(), Data: video}, journal.InboundCall{Step: journal.CallOffered, Video: true}},
		"audio":          {&events.CallOffer{BasicCallMeta: meta(), Data: audio}, journal.InboundCall{Step: journal.CallOffered}},
		"without stanza": {&events.CallOffer{BasicCallMeta: meta()}, journal.InboundCall{Step: journal.CallOffered}},
		"accepted":       {&events.CallAccept{BasicCallMeta: meta(), Data: audio}, journal.InboundCall{Step: journal.CallAccepted}},
		"ended": {
			&events.CallTerminate{BasicCallMeta: meta(), Reason: "timeout"},
			journal.InboundCall{Step: journal.CallEnded, Reason: optional("timeout")},
		},
		"ended without a reason": {&events.CallTerminate{BasicCallMeta: meta()}, journal.InboundCall{Step: journal.CallEnded}},
		"group": {
			&events.CallOfferNotice{BasicCallMeta: toGroup, Media: "video", Type: "group"},
			journal.InboundCall{Step: journal.CallOffered, Video: true, Group: optional("1203@g.us")},
		},
		"group as text": {
			&events.CallOfferNotice{BasicCallMeta: meta(), Media: "audio", Data: &waBinary.Node{Attrs: waBinary.Attrs{"group-jid": "1203@g.us"}}},
			journal.InboundCall{Step: journal.CallOffered, Group: optional("1203@g.us")},
		},
		"group as JID": {
			&events.CallOfferNotice{BasicCallMeta: meta(), Data: &waBinary.Node{Attrs: waBinary.Attrs{"group-jid": group}}},
			journal.InboundCall{Step: journal.CallOffered, Group: optional("1203@g.us")},
		},
		"without creator": {
			&events.CallTerminate{BasicCallMeta: fromNobody}, journal.InboundCall{Step: journal.CallEnded, Caller: "1002@lid"},
		},
	} {
		record := kept[journal.InboundCall](t, each.event)
		want := each.want
		if want.EventID, want.CallID, want.Timestamp = record.EventID, "C1", instant; want.Caller == "" {
			want.Caller, want.CallerPhone = "1001@lid", optional("49151")
		}
		if !reflect.DeepEqual(record, want) {
			t.Errorf("%s: %+v", name, record)
		}
	}
}

func joined() *events.JoinedGroup {
	return &events.JoinedGroup{Reason: "invite", GroupInfo: types.GroupInfo{
		JID: group, OwnerJID: lid,
		GroupName:      types.GroupName{Name: "Friends"},
		GroupTopic:     types.GroupTopic{Topic: "about"},
		GroupLocked:    types.GroupLocked{IsLocked: true},
		GroupEphemeral: types.GroupEphemeral{IsEphemeral: true, DisappearingTimer: 86400},
		Participants: []types.GroupParticipant{
			{JID: lid, PhoneNumber: phone, IsAdmin: true, IsSuperAdmin: true},
			{JID: other, IsAdmin: true},
			{JID: types.NewJID("1003", types.HiddenUserServer)},
		},
	}}
}

func TestAGroupThatWeCameInto(t *testing.T) {
	record := kept[journal.InboundGroup](t, joined())
	want := journal.InboundGroup{
		EventID: record.EventID, Group: "1203@g.us", Reason: "invite", Subject: "Friends", Description: "about", Owner: optional("1001@lid"),
		Locked: true, EphemeralSeconds: 86400, Timestamp: instant, Members: []journal.GroupMember{
			{JID: "1001@lid", Phone: optional("49151"), Role: journal.GroupOwnerRole},
			{JID: "1002@lid", Role: journal.GroupAdminRole},
			{JID: "1003@lid", Role: journal.GroupMemberRole},
		},
	}
	if !reflect.DeepEqual(record, want) {
		t.Errorf("%+v", record)
	}
	bare := kept[journal.InboundGroup](t, &events.JoinedGroup{GroupInfo: types.GroupInfo{GroupEphemeral: types.GroupEphemeral{DisappearingTimer: 5}}})
	if bare.EphemeralSeconds != 0 || bare.Owner != nil || bare.Members == nil {
		t.Errorf("%+v", bare)
	}
}

func TestComingIntoAGroupTwiceIsTwoEvents(t *testing.T) {
	id := func(version string, now time.Time) string {
		event := joined()
		event.ParticipantVersionID = version
		record, _, _ := Record(event, own, now)
		return record.(journal.InboundGroup).EventID
	}
	later := instant.Add(time.Hour)
	if id("1", instant) != id("1", later) {
		t.Error("the notice that comes again has another id")
	}
	if id("1", instant) == id("2", later) || id("", instant) == id("", later) {
		t.Error("another coming has the same id")
	}
}

func TestChangesOfGroups(t *testing.T) {
	link, nothing := "https://chat.whatsapp.com/x", ""
	for name, each := range map[string]struct {
		event events.GroupInfo
		want  journal.InboundGroupChange
	}{
		"members": {
			events.GroupInfo{Sender: &lid, Join: []types.JID{other}, Leave: []types.JID{phone}, JoinReason: "invite"},
			journal.InboundGroupChange{By: optional("1001@lid"), Joined: []string{"1002@lid"}, Left: []string{"49151@s.whatsapp.net"}, JoinReason: "invite"},
		},
		"roles": {
			events.GroupInfo{Promote: []types.JID{lid}, Demote: []types.JID{other}},
			journal.InboundGroupChange{Promoted: []string{"1001@lid"}, Demoted: []string{"1002@lid"}},
		},
		"settings": {
			events.GroupInfo{
				Name: &types.GroupName{Name: "New"}, Topic: &types.GroupTopic{Topic: "gone", TopicDeleted: true}, Locked: &types.GroupLocked{},
				Announce: &types.GroupAnnounce{IsAnnounce: true}, Ephemeral: &types.GroupEphemeral{DisappearingTimer: 7},
				Delete: &types.GroupDelete{Deleted: true}, NewInviteLink: &link, UnknownChanges: []*waBinary.Node{{Tag: "member_label"}, nil},
			},
			journal.InboundGroupChange{
				Subject: ref("New"), Description: ref(""), Locked: ref(false), Announce: ref(true), EphemeralSeconds: ref(int64(0)),
				Deleted: true, InviteLink: &link, Other: []string{"member_label"},
			},
		},
		"other settings": {
			events.GroupInfo{
				Name: &types.GroupName{}, Topic: &types.GroupTopic{Topic: "new"}, Ephemeral: &types.GroupEphemeral{IsEphemeral: true, DisappearingTimer: 7},
				NewInviteLink: &nothing,
			},
			journal.InboundGroupChange{Subject: ref(""), Description: ref("new"), EphemeralSeconds: ref(int64(7))},
		},
	} {
		each.event.JID, each.event.Timestamp = group, instant
		record := kept[journal.InboundGroupChange](t, &each.event)
		want := each.want
		want.EventID, want.Group, want.Timestamp = record.EventID, "1203@g.us", instant
		for _, list := range []*[]string{&want.Joined, &want.Left, &want.Promoted, &want.Demoted, &want.Other} {
			if *list == nil {
				*list = []string{}
			}
		}
		if !reflect.DeepEqual(record, want) {
			t.Errorf("%s: %+v", name, record)
		}
		if again := kept[journal.InboundGroupChange](t, &each.event); again.EventID != record.EventID {
			t.Errorf("%s: another id", name)
		}
	}
}

func ref[Value any](value Value) *Value { return &value }

func TestPeople(t *testing.T) {
	picture := kept[journal.InboundPicture](t, &events.Picture{JID: group, Author: lid, Timestamp: instant, Remove: true})
	if picture.JID != "1203@g.us" || word(picture.By) != "1001@lid" || !picture.Removed || !picture.Timestamp.Equal(instant) {
		t.Errorf("%+v", picture)
	}
	if own := kept[journal.InboundPicture](t, &events.Picture{JID: lid, Timestamp: instant}); own.By != nil || own.Removed {
		t.Errorf("%+v", own)
	}
	identity := kept[journal.InboundIdentityChange](t, &events.IdentityChange{JID: lid, Timestamp: instant})
	if identity.JID != "1001@lid" || !identity.Timestamp.Equal(instant) {
		t.Errorf("%+v", identity)
	}
}

func TestWhatIsNothingToKeep(t *testing.T) {
	for _, event := range []any{
		nil, 5, &events.Connected{}, &events.Presence{}, &events.CallReject{}, &events.CallRelayLatency{}, &events.Star{}, &events.LabelEdit{},
		&events.AppState{}, &events.PushName{}, &events.FBMessage{}, &events.OfflineSyncCompleted{},
	} {
		if record, isMessage, ok := Record(event, own, instant); record != nil || isMessage || ok {
			t.Errorf("%T: (%v, %v, %v)", event, record, isMessage, ok)
		}
	}
}

func TestWhatTheConversionStumblesOverIsKept(t *testing.T) {
	for name, each := range map[string]struct {
		event any
		name  string
	}{
		"nothing where a message is": {(*events.Message)(nil), "Message"},
		"nothing where a receipt is": {(*events.Receipt)(nil), "Receipt"},
		"nothing where a group is":   {(*events.GroupInfo)(nil), "GroupInfo"},
	} {
		record, isMessage, ok := Record(each.event, own, instant)
		unread, is := record.(journal.InboundUnreadable)
		if !is || !isMessage || !ok || unread.Event != each.name || unread.Error != "runtime.errorString" || len(unread.EventID) != 32 {
			t.Errorf("%s: %+v %v %v", name, record, isMessage, ok)
		}
		if _, err := journal.Payload(record); err != nil {
			t.Error(err)
		}
	}
	message := unreadable(said(text("hi")), "problem").(journal.InboundUnreadable)
	if !reflect.DeepEqual(message.Data, marshal(text("hi"))) || message.Error != "string" {
		t.Errorf("%+v", message)
	}
	if picture := unreadable(&events.Picture{JID: group}, 1).(journal.InboundUnreadable); len(picture.Data) == 0 {
		t.Error("nothing of the picture was kept")
	}
}

func TestMessagesWhoseKeysAreUsedUp(t *testing.T) {
	const why = ": failed to decrypt normal message: received message with old counter: 3, 2"
	for line, want := range map[string]journal.InboundUndecryptable{
		"Ignoring message 3EB0 from 1001:3@lid in 1001@lid" + why: {Chat: "1001@lid", Sender: "1001@lid"},
		"Ignoring message 3EB0 from 49151@s.whatsapp.net" + why: {
			Chat: "49151@s.whatsapp.net", Sender: "49151@s.whatsapp.net", ChatPhone: optional("49151"), SenderPhone: optional("49151"),
		},
		"Ignoring message 3EB0 from 1000:4@lid in 1001@lid" + why:  {Chat: "1001@lid", Sender: "1000@lid", FromMe: true, SenderPhone: optional("49150")},
		"Ignoring message 3EB0 from 1000:4@lid in 1203@g.us" + why: {Chat: "1203@g.us", Sender: "1000@lid", FromMe: true, Group: true, SenderPhone: optional("49150")},
		"Ignoring message 3EB0 from 1001:4@lid in 1203@g.us" + why: {Chat: "1203@g.us", Sender: "1001@lid", Group: true},
	} {
		record := Lost(line, own, instant)
		found, is := record.(journal.InboundUndecryptable)
		want.EventID, want.WaID, want.Timestamp, want.AlreadyDecrypted = found.EventID, "3EB0", instant, true
		if !is || !reflect.DeepEqual(found, want) {
			t.Errorf("%s: %+v", line, record)
		}
	}
	for _, line := range []string{
		"", "Ignoring message 3EB0 from 1001@lid: event was already processed", "Ignoring message 3EB0 from nobody" + why,
		"Error decrypting message 3EB0 from 1001@lid" + why, "x Ignoring message 3EB0 from 1001@lid" + why,
	} {
		if record := Lost(line, own, instant); record != nil {
			t.Errorf("%s: %+v", line, record)
		}
	}
}

func TestSignals(t *testing.T) {
	seen := instant
	for name, each := range map[string]struct {
		event any
		want  protocol.Event
	}{
		"away":      {&events.Presence{From: lid, Unavailable: true, LastSeen: instant}, protocol.PresenceChanged{UID: "u", JID: "1001@lid", LastSeen: &seen}},
		"here":      {&events.Presence{From: lid}, protocol.PresenceChanged{UID: "u", JID: "1001@lid", Available: true}},
		"composing": {doing("composing", ""), protocol.ChatStateChanged{UID: "u", Chat: "1203@g.us", Sender: "1001@lid", State: protocol.ChatStateComposing}},
		"recording": {doing("composing", "audio"), protocol.ChatStateChanged{UID: "u", Chat: "1203@g.us", Sender: "1001@lid", State: protocol.ChatStateRecording}},
		"paused":    {doing("paused", "audio"), protocol.ChatStateChanged{UID: "u", Chat: "1203@g.us", Sender: "1001@lid", State: protocol.ChatStatePaused}},
		"retry": {
			&events.Receipt{MessageSource: info().MessageSource, MessageIDs: []string{"a"}, Type: types.ReceiptTypeRetry},
			protocol.RetryRequested{UID: "u", Chat: "1001@lid", MessageIDs: []string{"a"}},
		},
		"read":     {&events.Receipt{Type: types.ReceiptTypeRead}, nil},
		"drained":  {&events.OfflineSyncCompleted{Count: 4}, protocol.OfflineDrained{UID: "u", Count: 4}},
		"lost":     {&events.KeepAliveTimeout{ErrorCount: 2}, protocol.KeepAliveLost{UID: "u", ErrorCount: 2}},
		"restored": {&events.KeepAliveRestored{}, protocol.KeepAliveRestored{UID: "u"}},
		"message":  {said(text("hi")), nil},
		"nothing":  {nil, nil},
	} {
		signal, ok := Signal("u", each.event)
		if !reflect.DeepEqual(signal, each.want) || ok != (each.want != nil) {
			t.Errorf("%s: %+v %v", name, signal, ok)
		}
	}
}

func doing(state types.ChatPresence, media types.ChatPresenceMedia) *events.ChatPresence {
	return &events.ChatPresence{MessageSource: types.MessageSource{Chat: group, Sender: lid, IsGroup: true}, State: state, Media: media}
}
