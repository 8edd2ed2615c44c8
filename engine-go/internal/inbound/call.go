package inbound

import (
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"whatsam.io/engine/internal/journal"
)

// groupAttribute names the group in an offer, also where whatsmeow did not take it for a JID.
const groupAttribute = "group-jid"

// callRecord is the record of a step of a call; data is WhatsApp's own stanza.
func callRecord(meta types.BasicCallMeta, step journal.CallStep, data *waBinary.Node, video bool, reason string) journal.Record {
	caller := meta.CallCreator
	if caller.User == "" {
		caller = meta.From
	}
	record := journal.InboundCall{
		CallID:      readable(meta.CallID),
		Step:        step,
		Caller:      PersonText(caller),
		CallerPhone: phoneOf(caller, meta.CallCreatorAlt),
		Group:       calledGroup(meta, data),
		Video:       video || hasVideo(data),
		Reason:      optional(readable(reason)),
		Timestamp:   moment(meta.Timestamp),
	}
	// A call may be taken on several devices.
	record.EventID = identifyContent(record, meta.From.String())
	return record
}

func calledGroup(meta types.BasicCallMeta, data *waBinary.Node) *string {
	if group := meta.GroupJID.String(); group != "" {
		return optional(readable(group))
	}
	if data == nil {
		return nil
	}
	switch value := data.Attrs[groupAttribute].(type) {
	case types.JID:
		return optional(readable(value.String()))
	case string:
		return optional(readable(value))
	}
	return nil
}

func hasVideo(data *waBinary.Node) bool {
	if data == nil {
		return false
	}
	for _, child := range data.GetChildren() {
		if child.Tag == "video" {
			return true
		}
	}
	return false
}
