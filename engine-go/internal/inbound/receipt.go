package inbound

import (
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/journal"
)

// receiptKinds is what WhatsApp's words mean. What is not here concerns no message: receipts among the own devices for keys and history, and
// server errors, with which a phone answers the wish for a file.
var receiptKinds = map[types.ReceiptType]journal.ReceiptKind{
	types.ReceiptTypeDelivered: journal.ReceiptDelivered,
	// The recipient's device has it, but was not in the foreground.
	types.ReceiptTypeInactive:   journal.ReceiptDelivered,
	types.ReceiptTypeSender:     journal.ReceiptSender,
	types.ReceiptTypeRetry:      journal.ReceiptRetry,
	types.ReceiptTypeRead:       journal.ReceiptRead,
	types.ReceiptTypeReadSelf:   journal.ReceiptReadSelf,
	types.ReceiptTypePlayed:     journal.ReceiptPlayed,
	types.ReceiptTypePlayedSelf: journal.ReceiptPlayedSelf,
}

// receiptRecord is the record of a receipt; nil for receipts that concern no message.
func receiptRecord(event *events.Receipt) journal.Record {
	kind, known := receiptKinds[event.Type]
	if !known {
		return nil
	}
	record := journal.InboundReceipt{
		WaIDs:       messageIDs(event),
		Chat:        PersonText(event.Chat),
		ChatPhone:   chatPhone(&event.MessageSource),
		Sender:      PersonText(event.Sender),
		Kind:        kind,
		Timestamp:   moment(event.Timestamp),
		SenderPhone: phoneOf(event.Sender, event.SenderAlt),
		Group:       event.IsGroup,
	}
	// Each device of a recipient sends its own.
	record.EventID = identifyContent(record, event.Sender.String(), string(event.Type))
	return record
}

func messageIDs(event *events.Receipt) []string {
	ids := make([]string, 0, len(event.MessageIDs))
	for _, id := range event.MessageIDs {
		ids = append(ids, readable(id))
	}
	return ids
}
