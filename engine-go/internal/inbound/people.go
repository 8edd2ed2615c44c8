package inbound

import (
	"unicode/utf8"

	"go.mau.fi/whatsmeow/types"
)

// PersonText is who, not which of their devices: the text form without the device; empty for nobody.
func PersonText(jid types.JID) string {
	if jid.Server == "" {
		return ""
	}
	if jid.User == "" {
		return jid.String()
	}
	return readable(jid.User + "@" + jid.Server)
}

// optionalPerson is who; nil for nobody.
func optionalPerson(jid types.JID) *string { return optional(PersonText(jid)) }

func optionalPersonAt(jid *types.JID) *string {
	if jid == nil {
		return nil
	}
	return optionalPerson(*jid)
}

func persons(jids []types.JID) []string {
	texts := make([]string, 0, len(jids))
	for _, jid := range jids {
		texts = append(texts, PersonText(jid))
	}
	return texts
}

// phoneOf is the digits of the first candidate that is addressed by phone number.
func phoneOf(candidates ...types.JID) *string {
	for _, jid := range candidates {
		if jid.Server == types.DefaultUserServer && jid.User != "" {
			return optional(readable(jid.User))
		}
	}
	return nil
}

// chatPhone is the digits of the other side of a chat between two people; nil for groups and where WhatsApp did not tell.
func chatPhone(source *types.MessageSource) *string {
	if source.IsGroup {
		return nil
	}
	if source.IsFromMe {
		return phoneOf(source.Chat, source.RecipientAlt)
	}
	return phoneOf(source.Chat, source.SenderAlt)
}

// senderPhone is the digits of the sender. Of our own messages WhatsApp tells them only sometimes, but we know them.
func senderPhone(source *types.MessageSource, own Own) *string {
	if told := phoneOf(source.Sender, source.SenderAlt); told != nil || !own.is(source.Sender) {
		return told
	}
	return phoneOf(own.JID)
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// readable is text for people. Nobody checks what other clients send: each byte that is no UTF-8 becomes U+FFFD.
func readable(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}
