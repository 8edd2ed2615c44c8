package inbound

import (
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/journal"
)

// pictureRecord is the record of a new picture, or of its end.
func pictureRecord(event *events.Picture) journal.Record {
	record := journal.InboundPicture{
		JID:       PersonText(event.JID),
		By:        optionalPerson(event.Author),
		Timestamp: moment(event.Timestamp),
		Removed:   event.Remove,
	}
	record.EventID = identifyContent(record, event.PictureID)
	return record
}

// identityRecord is the record of a new security code.
func identityRecord(event *events.IdentityChange) journal.Record {
	record := journal.InboundIdentityChange{JID: PersonText(event.JID), Timestamp: moment(event.Timestamp)}
	record.EventID = identifyContent(record)
	return record
}
