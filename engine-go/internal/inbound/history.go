package inbound

import (
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/journal"
)

// HistoryNotification is the notice of a history that waits to be fetched; nil in every other event. Only our own phone has history for us.
func HistoryNotification(event any) *waE2E.HistorySyncNotification {
	message, is := event.(*events.Message)
	if !is || message == nil || !message.Info.IsFromMe {
		return nil
	}
	return message.Message.GetProtocolMessage().GetHistorySyncNotification()
}

// History is the records of one piece of history, in parts that fit the journal.
func History(history *waHistorySync.HistorySync) []journal.Record {
	data, err := sameBytes.Marshal(history)
	if err != nil {
		return []journal.Record{unreadable(&events.HistorySync{}, err)}
	}
	return HistoryBytes(data)
}

// HistoryBytes is History for the bytes of WhatsApp's HistorySync, which are not parsed: there may be tens of megabytes.
func HistoryBytes(data []byte) []journal.Record {
	pieces, err := parts(data, PartBytes)
	if err != nil {
		return []journal.Record{unreadableBytes("HistorySync", "NotProtobuf", data)}
	}
	whole := digest(data)
	records := make([]journal.Record, 0, len(pieces))
	for place, piece := range pieces {
		part, of := int64(place+1), int64(len(pieces))
		records = append(records, journal.InboundHistory{
			EventID: identify("history", whole, number(part), number(of)), Part: part, Parts: of, Data: piece,
		})
	}
	return records
}
