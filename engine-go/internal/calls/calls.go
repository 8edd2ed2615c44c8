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
)

// An action asks WhatsApp, with arguments that fit. What it returns is for json.Marshal; nil is null.
type action func(ctx context.Context, client *whatsmeow.Client) (any, error)

// A method is one call: it reads its arguments and returns what is to be done with them.
type method struct {
	prepare func(*arguments) action
	// changes tells whether it has an effect at WhatsApp, as in methods.py: then an answer that does not come is open.
	changes bool
}

func lookup(prepare func(*arguments) action) method { return method{prepare: prepare} }

func change(prepare func(*arguments) action) method { return method{prepare: prepare, changes: true} }

var methods = map[string]method{
	// Messages and media.
	"upload":             lookup(upload),
	"mark_read":          change(markRead),
	"presence":           change(presence),
	"chat_presence":      change(chatPresence),
	"subscribe_presence": change(subscribePresence),
	"reject_call":        change(rejectCall),
	"request_history":    change(requestHistory),
	// Contacts.
	"is_on_whatsapp": lookup(isOnWhatsApp),
	"user_info":      lookup(userInfo),
	"avatar":         lookup(avatar),
	"contacts":       lookup(contacts),
	"lid":            lookup(lid),
	"phone":          lookup(phone),
	"blocklist":      lookup(blocklist),
	"block":          change(block),
	"unblock":        change(unblock),
	// Own profile.
	"privacy":             lookup(privacy),
	"set_privacy":         change(setPrivacy),
	"profile":             lookup(profile),
	"set_profile_name":    change(setProfileName),
	"set_about":           change(setAbout),
	"set_profile_picture": change(setProfilePicture),
	// Groups.
	"groups":                lookup(groups),
	"group":                 lookup(group),
	"create_group":          change(createGroup),
	"change_participants":   change(changeParticipants),
	"set_group_subject":     change(setGroupSubject),
	"set_group_description": change(setGroupDescription),
	"set_group_picture":     change(setGroupPicture),
	"set_group_announce":    change(setGroupAnnounce),
	"set_group_locked":      change(setGroupLocked),
	"group_invite_link":     change(groupInviteLink),
	"group_by_link":         lookup(groupByLink),
	"join_group":            change(joinGroup),
	"leave_group":           change(leaveGroup),
	"join_requests":         lookup(joinRequests),
	"change_join_requests":  change(changeJoinRequests),
	// Chats.
	"chat_settings":    lookup(chatSettings),
	"archive":          change(archive),
	"pin":              change(pin),
	"mute":             change(mute),
	"mark_unread":      change(markUnread),
	"delete_chat":      change(deleteChat),
	"set_disappearing": change(setDisappearing),
	// Newsletters.
	"newsletters":         lookup(newsletters),
	"newsletter":          lookup(newsletter),
	"create_newsletter":   change(createNewsletter),
	"follow_newsletter":   change(followNewsletter),
	"unfollow_newsletter": change(unfollowNewsletter),
	"mute_newsletter":     change(muteNewsletter),
	"newsletter_messages": lookup(newsletterMessages),
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
	if err != nil && ctx.Err() != nil && !known.changes {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, failure(err, known.changes)
	}
	return value, nil
}

func (m method) prepared(given json.RawMessage) (action, error) {
	in, err := parse(given)
	if err != nil {
		return nil, err
	}
	do := m.prepare(in)
	if err := in.end(); err != nil {
		return nil, err
	}
	return do, nil
}
