package inbound

import (
	"reflect"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/journal"
)

func TestWhatWasDoneOnThePhone(t *testing.T) {
	yes := proto.Bool(true)
	for word, each := range map[string]struct {
		event any
		index []string
		value *waSyncAction.SyncActionValue
	}{
		"archive": {
			&events.Archive{JID: lid, Timestamp: instant, Action: &waSyncAction.ArchiveChatAction{Archived: yes}},
			[]string{"archive", "1001@lid"},
			&waSyncAction.SyncActionValue{ArchiveChatAction: &waSyncAction.ArchiveChatAction{Archived: yes}},
		},
		"pin": {
			&events.Pin{JID: group, Timestamp: instant, Action: &waSyncAction.PinAction{Pinned: yes}},
			[]string{"pin_v1", "1203@g.us"},
			&waSyncAction.SyncActionValue{PinAction: &waSyncAction.PinAction{Pinned: yes}},
		},
		"mute": {
			&events.Mute{JID: lid, Timestamp: instant, Action: &waSyncAction.MuteAction{Muted: yes}},
			[]string{"mute", "1001@lid"},
			&waSyncAction.SyncActionValue{MuteAction: &waSyncAction.MuteAction{Muted: yes}},
		},
		"read": {
			&events.MarkChatAsRead{JID: lid, Timestamp: instant, Action: &waSyncAction.MarkChatAsReadAction{Read: yes}},
			[]string{"markChatAsRead", "1001@lid"},
			&waSyncAction.SyncActionValue{MarkChatAsReadAction: &waSyncAction.MarkChatAsReadAction{Read: yes}},
		},
		"contact": {
			&events.Contact{JID: lid, Timestamp: instant, Action: &waSyncAction.ContactAction{FullName: proto.String("Ann")}},
			[]string{"contact", "1001@lid"},
			&waSyncAction.SyncActionValue{ContactAction: &waSyncAction.ContactAction{FullName: proto.String("Ann")}},
		},
		"deleted": {
			&events.DeleteChat{JID: lid, Timestamp: instant, DeleteMedia: true, Action: &waSyncAction.DeleteChatAction{}},
			[]string{"deleteChat", "1001@lid", "1"},
			&waSyncAction.SyncActionValue{DeleteChatAction: &waSyncAction.DeleteChatAction{}},
		},
		"cleared, of nothing more": {
			&events.ClearChat{JID: lid, Timestamp: instant},
			[]string{"clearChat", "1001@lid", "0"},
			&waSyncAction.SyncActionValue{},
		},
		"theirs": {
			&events.DeleteForMe{ChatJID: group, SenderJID: lid, MessageID: "3EB0", Timestamp: instant},
			[]string{"deleteMessageForMe", "1203@g.us", "3EB0", "0", "1001@lid"},
			&waSyncAction.SyncActionValue{},
		},
		"ours": {
			&events.DeleteForMe{ChatJID: lid, IsFromMe: true, MessageID: "3EB0", Timestamp: instant},
			[]string{"deleteMessageForMe", "1001@lid", "3EB0", "1", "0"},
			&waSyncAction.SyncActionValue{},
		},
	} {
		record := kept[journal.InboundAppState](t, each.event)
		each.value.Timestamp = proto.Int64(instant.UnixMilli())
		if !reflect.DeepEqual(record.Index, each.index) || !record.Timestamp.Equal(instant) || record.FullSync {
			t.Errorf("%s: %+v", word, record)
		}
		if !reflect.DeepEqual(record.Data, marshal(each.value)) {
			t.Errorf("%s: %x", word, record.Data)
		}
		if again := kept[journal.InboundAppState](t, each.event); len(record.EventID) != 32 || again.EventID != record.EventID || Plenty(record) {
			t.Errorf("%s: %s, then %s", word, record.EventID, again.EventID)
		}
	}
}

func TestChangesHaveIDsOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	yes, no := &waSyncAction.PinAction{Pinned: proto.Bool(true)}, &waSyncAction.PinAction{Pinned: proto.Bool(false)}
	for _, event := range []any{
		&events.Pin{JID: lid, Timestamp: instant, Action: yes},
		&events.Pin{JID: lid, Timestamp: instant, Action: no},
		&events.Pin{JID: group, Timestamp: instant, Action: yes},
		&events.Pin{JID: lid, Timestamp: instant.Add(time.Millisecond), Action: yes},
		&events.Archive{JID: lid, Timestamp: instant},
		&events.Mute{JID: lid, Timestamp: instant},
	} {
		seen[kept[journal.InboundAppState](t, event).EventID] = true
	}
	if len(seen) != 6 {
		t.Error(seen)
	}
}

func TestWhatAFullSyncRepeatsIsToldFromNews(t *testing.T) {
	for ago, old := range map[time.Duration]bool{0: false, -time.Hour: false, time.Minute: false, 3 * time.Minute: true} {
		at := instant.Add(-ago)
		record := kept[journal.InboundAppState](t, &events.Pin{JID: lid, Timestamp: at, FromFullSync: true})
		if record.FullSync != old || Plenty(record) != old {
			t.Errorf("%v ago: %+v", ago, record)
		}
		if news := kept[journal.InboundAppState](t, &events.Pin{JID: lid, Timestamp: at}); news.FullSync || news.EventID != record.EventID {
			t.Errorf("%v ago: %+v", ago, news)
		}
	}
	if Plenty(journal.InboundPicture{}) {
		t.Error("a picture")
	}
}
