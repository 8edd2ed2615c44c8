// Package calls has what an engine can be asked for besides sending: one function for each method of
// connector/whatsam_connector/engine/methods.py. The host calls Do in the lane of the method.
//
// Arguments and answers are those of neonize's adapter (connector/whatsam_connector/engine/neonize_adapter/calls), so that
// nobody above notices which engine answers. JIDs are texts, times are Unix seconds, bytes are base64.
package calls

import (
	"context"
	"encoding/json"

	"go.mau.fi/whatsmeow"

	"whatsam.io/engine/internal/protocol"
)

// An action asks WhatsApp, with arguments that fit. What it returns is for json.Marshal; nil is null.
type action func(ctx context.Context, client *whatsmeow.Client) (any, error)

// A method reads the arguments of one call and returns what is to be done with them.
type method func(*arguments) action

// methods has one for each of protocol.Methods but those of a pairing, which are the session's own.
var methods = map[string]method{
	// Messages and media.
	"upload":             upload,
	"mark_read":          markRead,
	"presence":           presence,
	"chat_presence":      chatPresence,
	"subscribe_presence": subscribePresence,
	"reject_call":        rejectCall,
	"request_history":    requestHistory,
	// Contacts.
	"is_on_whatsapp": isOnWhatsApp,
	"user_info":      userInfo,
	"avatar":         avatar,
	"contacts":       contacts,
	"lid":            lid,
	"phone":          phone,
	"blocklist":      blocklist,
	"block":          block,
	"unblock":        unblock,
	// Own profile.
	"privacy":             privacy,
	"set_privacy":         setPrivacy,
	"profile":             profile,
	"set_profile_name":    setProfileName,
	"set_about":           setAbout,
	"set_profile_picture": setProfilePicture,
	// Groups.
	"groups":                groups,
	"group":                 group,
	"create_group":          createGroup,
	"change_participants":   changeParticipants,
	"set_group_subject":     setGroupSubject,
	"set_group_description": setGroupDescription,
	"set_group_picture":     setGroupPicture,
	"set_group_announce":    setGroupAnnounce,
	"set_group_locked":      setGroupLocked,
	"group_invite_link":     groupInviteLink,
	"group_by_link":         groupByLink,
	"join_group":            joinGroup,
	"leave_group":           leaveGroup,
	"join_requests":         joinRequests,
	"change_join_requests":  changeJoinRequests,
	// Chats.
	"chat_settings":    chatSettings,
	"archive":          archive,
	"pin":              pin,
	"mute":             mute,
	"mark_unread":      markUnread,
	"delete_chat":      deleteChat,
	"set_disappearing": setDisappearing,
	// Newsletters.
	"newsletters":         newsletters,
	"newsletter":          newsletter,
	"create_newsletter":   createNewsletter,
	"follow_newsletter":   followNewsletter,
	"unfollow_newsletter": unfollowNewsletter,
	"mute_newsletter":     muteNewsletter,
	"newsletter_messages": newsletterMessages,
}

// Supported tells whether there is such a method.
func Supported(name string) bool {
	_, ok := methods[name]
	return ok
}

// Do carries out one call and returns its answer for json.Marshal.
//
// A *Refusal says that certainly nothing was done. Any other error leaves open whether a change was made; of a look-up it
// says that ctx ended first. Cancelling ctx gives up waiting, not what was already asked.
func Do(ctx context.Context, client *whatsmeow.Client, name string, given json.RawMessage) (any, error) {
	known, ok := methods[name]
	if !ok {
		return nil, refuse("Unsupported", "this engine cannot do it")
	}
	if client == nil || !client.IsConnected() || !client.IsLoggedIn() {
		return nil, notConnected()
	}
	do, err := known.prepared(given)
	if err != nil {
		return nil, err
	}
	value, err := do(ctx, client)
	changes := protocol.Methods[name].Changes
	if err != nil && ctx.Err() != nil && !changes {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, failure(err, changes)
	}
	return value, nil
}

func (known method) prepared(given json.RawMessage) (action, error) {
	in, err := parse(given)
	if err != nil {
		return nil, err
	}
	do := known(in)
	if err := in.end(); err != nil {
		return nil, err
	}
	return do, nil
}
