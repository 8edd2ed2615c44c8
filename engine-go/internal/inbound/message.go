package inbound

import (
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"whatsam.io/engine/internal/journal"
)

// messageRecord is the record of a message; nil for what is not a message to anybody (keys, history notices, app state).
func messageRecord(event *events.Message, own Own) journal.Record {
	content, kind := contentOf(event.Message)
	if kind == "" {
		return nil
	}
	info := &event.Info
	record := journal.InboundMessage{
		WaID:           readable(info.ID),
		Chat:           PersonText(info.Chat),
		ChatPhone:      chatPhone(&info.MessageSource),
		Sender:         PersonText(info.Sender),
		SenderPhone:    senderPhone(&info.MessageSource, own),
		FromMe:         info.IsFromMe,
		Text:           textOf(content),
		Type:           kind,
		Timestamp:      moment(info.Timestamp),
		PushName:       readable(info.PushName),
		Group:          info.IsGroup,
		Raw:            marshal(event.Message),
		IsEphemeral:    event.IsEphemeral,
		IsViewOnce:     event.IsViewOnce || event.IsViewOnceV2 || event.IsViewOnceV2Extension,
		IsEdit:         event.IsEdit || kind == kindEdited,
		Edit:           readable(string(info.Edit)),
		MediaType:      optional(readable(info.MediaType)),
		BroadcastOwner: optionalPerson(info.BroadcastListOwner),
		Retries:        max(int64(event.RetryCount), 0),
		ResentByPhone:  event.UnavailableRequestID != "",
	}
	if info.ServerID != 0 {
		serverID := int64(info.ServerID)
		record.ServerID = &serverID
	}
	if info.VerifiedName != nil {
		record.VerifiedName = optional(readable(info.VerifiedName.Details.GetVerifiedName()))
	}
	// An edit in a newsletter has the id of what it edits, and so has one that the phone hands over.
	edited := ""
	if event.NewsletterMeta != nil && !event.NewsletterMeta.EditTS.IsZero() {
		edited = number(event.NewsletterMeta.EditTS.UnixMilli())
	}
	record.EventID = identify("message", record.Chat, record.Sender, record.WaID, record.Edit, kind, edited, truth(record.ResentByPhone))
	return record
}

// undecryptableRecord is the record of a message that could not be decrypted.
func undecryptableRecord(event *events.UndecryptableMessage, own Own) journal.Record {
	info := &event.Info
	return identified(journal.InboundUndecryptable{
		WaID:        readable(info.ID),
		Chat:        PersonText(info.Chat),
		ChatPhone:   chatPhone(&info.MessageSource),
		Sender:      PersonText(info.Sender),
		SenderPhone: senderPhone(&info.MessageSource, own),
		FromMe:      info.IsFromMe,
		Timestamp:   moment(info.Timestamp),
		Group:       info.IsGroup,
		Unavailable: event.IsUnavailable,
		Hidden:      event.DecryptFailMode == events.DecryptFailHide,
	})
}

func identified(record journal.InboundUndecryptable) journal.Record {
	record.EventID = identify("undecryptable", record.Chat, record.Sender, record.WaID,
		truth(record.Unavailable), truth(record.Hidden), truth(record.AlreadyDecrypted))
	return record
}

// sameBytes makes the same bytes each time. What another client has left out is no reason to refuse the rest.
var sameBytes = proto.MarshalOptions{Deterministic: true, AllowPartial: true}

// marshal is a message's bytes, the same ones each time; empty for no message.
func marshal(message proto.Message) []byte {
	data, err := sameBytes.Marshal(message)
	if err != nil {
		panic(err) // Record keeps the event as unreadable
	}
	if data == nil {
		return []byte{}
	}
	return data
}
