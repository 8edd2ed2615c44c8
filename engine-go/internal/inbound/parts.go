package inbound

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// A part of a history is at most about PartBytes large, unless one message or one other field is larger alone; it has at most partMessages
// messages of one conversation and partFields conversations, names and the like. As connector/whatsam_connector/engine/history.py has it, with
// the reasons; the inbox puts one part into one transaction.
const (
	PartBytes    = 1 << 20
	partMessages = 200
	partFields   = 2000
)

const (
	conversations        = protowire.Number(2) // HistorySync.conversations
	conversationMessages = protowire.Number(2) // Conversation.messages
)

var errNotProtobuf = errors.New("inbound: the bytes are no protobuf message")

// large is a field that is moved as a whole.
type large struct {
	number  protowire.Number
	field   []byte
	content []byte
}

// parts is a HistorySync as one or more messages of the same kind that say the same together. Only the outermost fields are looked at: numbers
// go into every part, everything else into one. A conversation that is too large alone is cut between its messages, its other fields repeated.
func parts(history []byte, limit int) ([][]byte, error) {
	small, found, err := split(history, func(wireType protowire.Type, _ protowire.Number) bool { return wireType == protowire.BytesType })
	if err != nil {
		return nil, err
	}
	pieces := make([][]byte, 0, len(found))
	for _, each := range found {
		if each.number != conversations {
			pieces = append(pieces, each.field)
			continue
		}
		cut, err := conversationParts(each.content, limit)
		if err != nil {
			return nil, err
		}
		if len(cut) == 1 {
			pieces = append(pieces, each.field)
			continue
		}
		for _, piece := range cut {
			field := make([]byte, 0, len(piece)+8)
			pieces = append(pieces, protowire.AppendBytes(protowire.AppendTag(field, conversations, protowire.BytesType), piece))
		}
	}
	return gather(small, pieces, limit, partFields), nil
}

func conversationParts(conversation []byte, limit int) ([][]byte, error) {
	rest, messages, err := split(conversation, func(wireType protowire.Type, number protowire.Number) bool {
		return wireType == protowire.BytesType && number == conversationMessages
	})
	if err != nil {
		return nil, err
	}
	if len(conversation) <= limit && len(messages) <= partMessages {
		return [][]byte{conversation}, nil
	}
	fields := make([][]byte, 0, len(messages))
	for _, message := range messages {
		fields = append(fields, message.field)
	}
	return gather(rest, fields, limit, partMessages), nil
}

// gather makes messages of head and as many pieces as fit, at least one each.
func gather(head []byte, pieces [][]byte, limit, most int) [][]byte {
	var made [][]byte
	start, size := 0, len(head)
	finish := func(end int) {
		whole := make([]byte, 0, size)
		whole = append(whole, head...)
		for _, piece := range pieces[start:end] {
			whole = append(whole, piece...)
		}
		made = append(made, whole)
		start, size = end, len(head)
	}
	for place, piece := range pieces {
		if place > start && (size+len(piece) > limit || place-start == most) {
			finish(place)
		}
		size += len(piece)
	}
	finish(len(pieces))
	return made
}

// split is the fields of a message: the bytes of the small ones together, and the large ones one by one.
func split(message []byte, isLarge func(protowire.Type, protowire.Number) bool) ([]byte, []large, error) {
	var small []byte
	var found []large
	for len(message) > 0 {
		number, wireType, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return nil, nil, errNotProtobuf
		}
		// Groups are no part of WhatsApp's messages.
		if wireType == protowire.StartGroupType || wireType == protowire.EndGroupType {
			return nil, nil, errNotProtobuf
		}
		length := protowire.ConsumeFieldValue(number, wireType, message[tag:])
		if length < 0 {
			return nil, nil, errNotProtobuf
		}
		field := message[: tag+length : tag+length]
		if isLarge(wireType, number) {
			content, _ := protowire.ConsumeBytes(message[tag:])
			found = append(found, large{number, field, content})
		} else {
			small = append(small, field...)
		}
		message = message[tag+length:]
	}
	return small, found, nil
}
