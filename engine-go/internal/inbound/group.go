package inbound

import (
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/journal"
)

// groupRecord is the record of a group that we have come into. WhatsApp tells no time for it.
func groupRecord(event *events.JoinedGroup, now time.Time) journal.Record {
	info := &event.GroupInfo
	record := journal.InboundGroup{
		Group:       PersonText(info.JID),
		Reason:      readable(event.Reason),
		Subject:     readable(info.Name),
		Description: readable(info.Topic),
		Owner:       optionalPerson(info.OwnerJID),
		Announce:    info.IsAnnounce,
		Locked:      info.IsLocked,
		Members:     make([]journal.GroupMember, 0, len(info.Participants)),
	}
	if info.IsEphemeral {
		record.EphemeralSeconds = int64(info.DisappearingTimer)
	}
	for _, participant := range info.Participants {
		record.Members = append(record.Members, member(participant))
	}
	more := []string{event.CreateKey, event.Type, info.ParticipantVersionID}
	if info.ParticipantVersionID == "" {
		// Nothing tells this coming from an earlier one into the same group: rather told twice than not at all.
		more = append(more, number(now.UnixNano()))
	}
	record.EventID = identifyContent(record, more...)
	record.Timestamp = moment(now)
	return record
}

func member(participant types.GroupParticipant) journal.GroupMember {
	role := journal.GroupMemberRole
	switch {
	case participant.IsSuperAdmin:
		role = journal.GroupOwnerRole
	case participant.IsAdmin:
		role = journal.GroupAdminRole
	}
	return journal.GroupMember{JID: PersonText(participant.JID), Phone: phoneOf(participant.PhoneNumber, participant.JID), Role: role}
}

// groupChangeRecord is the record of a change of a group.
func groupChangeRecord(event *events.GroupInfo) journal.Record {
	record := journal.InboundGroupChange{
		Group:      PersonText(event.JID),
		By:         optionalPersonAt(event.Sender),
		Timestamp:  moment(event.Timestamp),
		Joined:     persons(event.Join),
		Left:       persons(event.Leave),
		Promoted:   persons(event.Promote),
		Demoted:    persons(event.Demote),
		JoinReason: readable(event.JoinReason),
		Deleted:    event.Delete != nil && event.Delete.Deleted,
		Other:      make([]string, 0, len(event.UnknownChanges)),
	}
	if event.Name != nil {
		subject := readable(event.Name.Name)
		record.Subject = &subject
	}
	if event.Topic != nil {
		description := ""
		if !event.Topic.TopicDeleted {
			description = readable(event.Topic.Topic)
		}
		record.Description = &description
	}
	if event.Announce != nil {
		record.Announce = &event.Announce.IsAnnounce
	}
	if event.Locked != nil {
		record.Locked = &event.Locked.IsLocked
	}
	if event.Ephemeral != nil {
		seconds := int64(0)
		if event.Ephemeral.IsEphemeral {
			seconds = int64(event.Ephemeral.DisappearingTimer)
		}
		record.EphemeralSeconds = &seconds
	}
	if event.NewInviteLink != nil {
		record.InviteLink = optional(readable(*event.NewInviteLink))
	}
	for _, node := range event.UnknownChanges {
		if node != nil {
			record.Other = append(record.Other, readable(node.Tag))
		}
	}
	record.EventID = identifyContent(record, event.PrevParticipantVersionID, event.ParticipantVersionID)
	return record
}
