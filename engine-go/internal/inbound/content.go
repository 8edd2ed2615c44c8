package inbound

import (
	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const kindEdited = "edited"

// kinds are names of fields of WhatsApp's Message and what they make of it; the first one that is there counts.
var kinds = []struct {
	field protoreflect.Name
	kind  string
}{
	{"conversation", "text"},
	{"extendedTextMessage", "text"},
	{"imageMessage", "image"},
	{"videoMessage", "video"},
	{"ptvMessage", "video"},
	{"audioMessage", "audio"},
	{"documentMessage", "document"},
	{"stickerMessage", "sticker"},
	{"lottieStickerMessage", "sticker"},
	{"locationMessage", "location"},
	{"liveLocationMessage", "location"},
	{"contactMessage", "contact"},
	{"contactsArrayMessage", "contact"},
	{"pollCreationMessage", "poll"},
	{"pollCreationMessageV2", "poll"},
	{"pollCreationMessageV3", "poll"},
	{"pollUpdateMessage", "poll_vote"},
	{"reactionMessage", "reaction"},
	{"encReactionMessage", "reaction"},
}

// protocolKinds is what people see of the protocol's own messages. The others carry keys and notices between the own devices: their content
// must not get into any table.
var protocolKinds = map[waE2E.ProtocolMessage_Type]string{
	waE2E.ProtocolMessage_REVOKE:            "revoked",
	waE2E.ProtocolMessage_MESSAGE_EDIT:      kindEdited,
	waE2E.ProtocolMessage_EPHEMERAL_SETTING: "system",
}

// onlyKeys are the fields of a message that shows nothing. The first message of a sender to a group comes twice with one id: keys only, then
// the text. The first is dropped.
var onlyKeys = map[protoreflect.Name]bool{"senderKeyDistributionMessage": true, "messageContextInfo": true}

// contentOf is the message that holds the text, and the kind of the whole; no kind for what is nothing to people.
func contentOf(message *waE2E.Message) (content *waE2E.Message, kind string) {
	shows, present := false, map[protoreflect.Name]bool{}
	message.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		present[field.Name()] = true
		shows = shows || !onlyKeys[field.Name()]
		return true
	})
	if !shows {
		return nil, ""
	}
	if protocol := message.GetProtocolMessage(); protocol != nil {
		kind = protocolKinds[protocol.GetType()]
		if kind == kindEdited {
			return protocol.GetEditedMessage(), kind
		}
		return message, kind
	}
	for _, each := range kinds {
		if present[each.field] {
			return message, each.kind
		}
	}
	return message, "other"
}

// textOf is the text or caption of a message, or the emoji of a reaction.
func textOf(message *waE2E.Message) *string {
	for _, text := range []string{
		message.GetConversation(),
		message.GetExtendedTextMessage().GetText(),
		message.GetImageMessage().GetCaption(),
		message.GetVideoMessage().GetCaption(),
		message.GetPtvMessage().GetCaption(),
		message.GetDocumentMessage().GetCaption(),
		message.GetReactionMessage().GetText(),
	} {
		if text != "" {
			return optional(readable(text))
		}
	}
	return nil
}
