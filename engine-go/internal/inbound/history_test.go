package inbound

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/journal"
)

func conversation(number int, sizes ...int) *waHistorySync.Conversation {
	made := &waHistorySync.Conversation{
		ID: proto.String(fmt.Sprintf("%d@lid", number)), Name: proto.String("somebody"), UnreadCount: proto.Uint32(uint32(number)),
	}
	for place, size := range sizes {
		made.Messages = append(made.Messages, &waHistorySync.HistorySyncMsg{
			Message: &waWeb.WebMessageInfo{
				Key: &waCommon.MessageKey{ID: proto.String(fmt.Sprintf("m%d", place))}, Message: text(strings.Repeat("x", size)),
			},
			MsgOrderID: proto.Uint64(uint64(place)),
		})
	}
	return made
}

func sync(conversations ...*waHistorySync.Conversation) *waHistorySync.HistorySync {
	return &waHistorySync.HistorySync{
		SyncType: waHistorySync.HistorySync_RECENT.Enum(), ChunkOrder: proto.Uint32(3), Progress: proto.Uint32(50), Conversations: conversations,
	}
}

func bytesOf(t *testing.T, message proto.Message) []byte {
	t.Helper()
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// joined puts the parts together again: the law of a history in parts.
func joinedParts(t *testing.T, pieces [][]byte) *waHistorySync.HistorySync {
	t.Helper()
	var whole *waHistorySync.HistorySync
	for _, piece := range pieces {
		var part waHistorySync.HistorySync
		if err := proto.Unmarshal(piece, &part); err != nil {
			t.Fatal(err)
		}
		if whole == nil {
			whole = proto.CloneOf(&part)
			whole.Conversations, whole.Pushnames = nil, nil
		}
		whole.Pushnames = append(whole.Pushnames, part.Pushnames...)
		for _, each := range part.Conversations {
			last := len(whole.Conversations) - 1
			if last >= 0 && whole.Conversations[last].GetID() == each.GetID() {
				whole.Conversations[last].Messages = append(whole.Conversations[last].Messages, each.Messages...)
			} else {
				whole.Conversations = append(whole.Conversations, each)
			}
		}
		if part.GetSyncType() != waHistorySync.HistorySync_RECENT || part.GetChunkOrder() != 3 || part.GetProgress() != 50 {
			t.Fatalf("a part forgets what it is of: %v", &part)
		}
	}
	return whole
}

func TestThePartsSayTheSameAsTheWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		history := sync()
		for number := range random.IntN(6) {
			sizes := make([]int, random.IntN(6))
			for place := range sizes {
				sizes[place] = random.IntN(400)
			}
			history.Conversations = append(history.Conversations, conversation(number, sizes...))
		}
		for number := range random.IntN(10) {
			history.Pushnames = append(history.Pushnames, &waHistorySync.Pushname{
				ID: proto.String(fmt.Sprintf("%d@lid", number)), Pushname: proto.String("Ann"),
			})
		}
		pieces, err := parts(bytesOf(t, history), 50+random.IntN(2000))
		if err != nil {
			t.Fatal(err)
		}
		if whole := joinedParts(t, pieces); !proto.Equal(whole, history) {
			t.Fatalf("%v\ninstead of\n%v", whole, history)
		}
	}
}

func TestAPartIsNotLargerThanNeeded(t *testing.T) {
	sizes := make([]int, 50)
	for place := range sizes {
		sizes[place] = 100
	}
	pieces, err := parts(bytesOf(t, sync(conversation(1, sizes...), conversation(2, sizes...), conversation(3, sizes...))), 300)
	if err != nil || len(pieces) < 30 {
		t.Fatal(len(pieces), err)
	}
	for _, piece := range pieces {
		if len(piece) > 300+20 { // the conversation's own length and tag
			t.Errorf("a part of %d bytes", len(piece))
		}
	}
}

func TestALongConversationComesInPartsOfSomeMessages(t *testing.T) {
	records := History(sync(conversation(1, make([]int, 2*partMessages+1)...)))
	var counts []int
	for place, record := range records {
		part := record.(journal.InboundHistory)
		if part.Part != int64(place+1) || part.Parts != int64(len(records)) {
			t.Errorf("part %d of %d", part.Part, part.Parts)
		}
		var piece waHistorySync.HistorySync
		if err := proto.Unmarshal(part.Data, &piece); err != nil {
			t.Fatal(err)
		}
		for _, each := range piece.Conversations {
			counts = append(counts, len(each.Messages))
		}
	}
	if fmt.Sprint(counts) != fmt.Sprint([]int{partMessages, partMessages, 1}) {
		t.Error(counts)
	}
}

func TestAHistoryThatFitsIsLeftAsItIs(t *testing.T) {
	history := sync(conversation(1, 5, 6))
	records, again := HistoryBytes(bytesOf(t, history)), History(history)
	if len(records) != 1 || !proto.Equal(joinedParts(t, [][]byte{records[0].Blob()}), history) {
		t.Fatalf("%+v", records)
	}
	if records[0].(journal.InboundHistory).EventID != again[0].(journal.InboundHistory).EventID {
		t.Error("the same history has two ids")
	}
	if other := History(sync(conversation(2, 5, 6))); other[0].(journal.InboundHistory).EventID == again[0].(journal.InboundHistory).EventID {
		t.Error("two histories have one id")
	}
	if nothing := History(nil); len(nothing) != 1 {
		t.Errorf("%+v", nothing)
	}
}

func TestWhatIsNoProtobufIsKept(t *testing.T) {
	records := HistoryBytes([]byte("\x0a\x05x"))
	if unread, is := records[0].(journal.InboundUnreadable); !is || len(records) != 1 || unread.Event != "HistorySync" || string(unread.Data) != "\x0a\x05x" {
		t.Errorf("%+v", records)
	}
}

func TestOnlyOurOwnPhoneHasHistoryForUs(t *testing.T) {
	notice := &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION.Enum(), HistorySyncNotification: &waE2E.HistorySyncNotification{ChunkOrder: proto.Uint32(7)},
	}}
	event := said(notice)
	if HistoryNotification(event) != nil {
		t.Error("a stranger's history")
	}
	event.Info.IsFromMe = true
	if HistoryNotification(event).GetChunkOrder() != 7 {
		t.Error("the own phone's history is not seen")
	}
	for _, event := range []any{nil, said(text("hi")), (*events.Message)(nil), &events.Connected{}} {
		if HistoryNotification(event) != nil {
			t.Errorf("%T has no history", event)
		}
	}
}

func FuzzHistoriesNeverPanic(f *testing.F) {
	data, err := proto.Marshal(sync(conversation(1, 5, 6), conversation(2, 1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, 10)
	f.Add([]byte("\x12\x03\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		if pieces, err := parts(data, limit); (err == nil) != (len(pieces) > 0) {
			t.Fatal(len(pieces), err)
		}
		if len(HistoryBytes(data)) == 0 {
			t.Fatal("a history that leaves no record")
		}
	})
}
