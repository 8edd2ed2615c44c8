package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"whatsam.io/engine/internal/inbound"
)

// historyLimit is for one piece of history; what is not there by then comes again with the next connection.
const historyLimit = 4 * time.Minute

// history fetches what a notification tells of and keeps it. Only then the notification counts as handled, and only then the phone and
// WhatsApp's media server are told so. false: it was not kept, and WhatsApp shall deliver the notification again.
func (session *session) history(message *events.Message) bool {
	notification := inbound.HistoryNotification(message)
	ctx, cancel := context.WithTimeout(session.patience, historyLimit)
	defer cancel()
	data, err := session.client.DownloadHistorySync(ctx, notification, true)
	if err != nil {
		if ctx.Err() != nil || !session.client.IsConnected() || mayComeLater(err) {
			line(fmt.Sprintf("session: a history was not fetched and will come again: %T", err))
			session.askLater()
			return false
		}
		return session.historyLost(ctx, message, notification, err)
	}
	for _, record := range inbound.History(data) {
		if !session.keep(record, false) {
			return false
		}
	}
	session.spawn("thanking for history", func() { session.historyTaken(message, notification) })
	return true
}

// historyTaken tells the phone, and takes the file off WhatsApp's server as whatsmeow itself does. Neither is needed for what follows.
func (session *session) historyTaken(message *events.Message, notification *waE2E.HistorySyncNotification) {
	ctx, cancel := context.WithTimeout(session.patience, answerLimit)
	defer cancel()
	if err := session.client.SendProtocolMessageReceipt(ctx, message.Info.ID, types.ReceiptTypeHistorySync); err != nil {
		line(fmt.Sprintf("session: the phone was not told of its history: %T", err))
	}
	err := session.client.DeleteMedia(
		ctx, whatsmeow.MediaHistory, notification.GetDirectPath(), notification.GetFileEncSHA256(), notification.GetEncHandle())
	if err != nil {
		line(fmt.Sprintf("session: a history is still on the server: %T", err))
	}
}

// historyLost keeps the notification of a history that cannot be read and asks the phone for it again.
func (session *session) historyLost(
	ctx context.Context, message *events.Message, notification *waE2E.HistorySyncNotification, problem error,
) bool {
	line(fmt.Sprintf("session: a history cannot be read: %T", problem))
	record, _ := inbound.Unreadable(notification, problem)
	if !session.keep(record, false) {
		return false
	}
	if err := session.client.SendHistorySyncServerErrorReceipt(ctx, message.Info.ID, notification.GetMediaKey()); err != nil {
		line(fmt.Sprintf("session: the phone was not asked for its history again: %T", err))
	}
	return true
}

// mayComeLater says that an error is about the way, not about the file.
func mayComeLater(err error) bool {
	var network net.Error
	var answered whatsmeow.DownloadHTTPError
	var query *whatsmeow.IQError
	var gone *whatsmeow.DisconnectedError
	switch {
	case errors.As(err, &answered):
		return answered.Response != nil && answered.StatusCode >= 500
	case errors.As(err, &network), errors.As(err, &query), errors.As(err, &gone):
		return true
	}
	return errors.Is(err, whatsmeow.ErrNotConnected) || errors.Is(err, whatsmeow.ErrIQTimedOut)
}
