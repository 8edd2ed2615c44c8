package inbound

import (
	"regexp"
	"time"

	"go.mau.fi/whatsmeow/types"

	"whatsam.io/engine/internal/journal"
)

// No event of whatsmeow tells this, only its log: see connector/whatsam_connector/engine/neonize_adapter/logs.py.
var (
	oldCounter = regexp.MustCompile(`(?s)^Ignoring message (\S+) from (\S+?)(?: in (\S+?))?: .*old counter`)
	jidText    = regexp.MustCompile(`^[^.:@\s]+(?:\.\d+)?(?::\d+)?@[a-z0-9.]+$`)
)

// Lost is the record of a message that whatsmeow has dropped, says a line of its log, because its key is used up; nil for any other line. An
// engine that died has decrypted it, and WhatsApp has delivered it again.
func Lost(line string, own Own, now time.Time) journal.Record {
	found := oldCounter.FindStringSubmatch(line)
	if found == nil {
		return nil
	}
	id, senderText, chatText := found[1], found[2], found[3]
	if chatText == "" {
		chatText = senderText
	}
	sender, isSender := parse(senderText)
	chat, isChat := parse(chatText)
	if !isSender || !isChat {
		return nil
	}
	group := chat.Server == types.GroupServer
	source := types.MessageSource{Chat: chat, Sender: sender, IsGroup: group, IsFromMe: own.is(sender) || !group && sender.User != chat.User}
	return identified(journal.InboundUndecryptable{
		WaID:             readable(id),
		Chat:             PersonText(chat),
		ChatPhone:        chatPhone(&source),
		Sender:           PersonText(sender),
		SenderPhone:      senderPhone(&source, own),
		FromMe:           source.IsFromMe,
		Timestamp:        moment(now),
		Group:            group,
		AlreadyDecrypted: true,
	})
}

func parse(text string) (types.JID, bool) {
	if !jidText.MatchString(text) {
		return types.JID{}, false
	}
	jid, err := types.ParseJID(text)
	return jid, err == nil
}
