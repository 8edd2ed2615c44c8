package protocol

import "time"

// Lane is where a command waits. Lanes run side by side; commands of one lane run one after another.
type Lane int

// The lanes: one for messages and one for look-ups per session, one for media in the whole process.
const (
	Messages Lane = iota
	Lookups
	Media
)

// Method is what can be asked for besides sending.
type Method struct {
	Lane Lane
	// Limit is how long a call may run here; nobody waits longer for it unless the caller names a time of its own.
	Limit time.Duration
	// Changes says whether it has an effect at WhatsApp: a failure is Uncertain then unless it proves that nothing was done.
	Changes bool
	// Pairing says that it is for a session that is not linked yet; all others need a login.
	Pairing bool
}

const (
	lookupLimit   = 20 * time.Second
	changeLimit   = 30 * time.Second
	presenceLimit = 10 * time.Second
	historyLimit  = 30 * time.Second
	uploadLimit   = 60 * time.Second
)

func lookup(limit time.Duration) Method { return Method{Lane: Lookups, Limit: limit} }
func change(limit time.Duration) Method { return Method{Lane: Lookups, Limit: limit, Changes: true} }

// Methods is every call that exists, as in connector/whatsam_connector/engine/methods.py; a test holds the two against each other.
var Methods = map[string]Method{
	"upload":             {Lane: Media, Limit: uploadLimit},
	"mark_read":          change(changeLimit),
	"presence":           {Lane: Messages, Limit: presenceLimit, Changes: true},
	"chat_presence":      {Lane: Messages, Limit: presenceLimit, Changes: true},
	"subscribe_presence": change(presenceLimit),
	"reject_call":        {Lane: Messages, Limit: presenceLimit, Changes: true},
	"request_history":    {Lane: Messages, Limit: historyLimit, Changes: true},

	"answer_passkey":  {Lane: Lookups, Limit: changeLimit, Changes: true, Pairing: true},
	"confirm_passkey": {Lane: Lookups, Limit: changeLimit, Changes: true, Pairing: true},

	"is_on_whatsapp": lookup(lookupLimit),
	"user_info":      lookup(lookupLimit),
	"avatar":         lookup(lookupLimit),
	"contacts":       lookup(lookupLimit),
	"lid":            lookup(lookupLimit),
	"phone":          lookup(lookupLimit),
	"blocklist":      lookup(lookupLimit),
	"block":          change(changeLimit),
	"unblock":        change(changeLimit),

	"privacy":             lookup(lookupLimit),
	"set_privacy":         change(changeLimit),
	"profile":             lookup(lookupLimit),
	"set_profile_name":    change(changeLimit),
	"set_about":           change(changeLimit),
	"set_profile_picture": change(60 * time.Second),

	"groups":                lookup(60 * time.Second),
	"group":                 lookup(lookupLimit),
	"create_group":          change(changeLimit),
	"change_participants":   change(changeLimit),
	"set_group_subject":     change(changeLimit),
	"set_group_description": change(changeLimit),
	"set_group_picture":     change(60 * time.Second),
	"set_group_announce":    change(changeLimit),
	"set_group_locked":      change(changeLimit),
	"group_invite_link":     change(changeLimit),
	"group_by_link":         lookup(lookupLimit),
	"join_group":            change(changeLimit),
	"leave_group":           change(changeLimit),
	"join_requests":         lookup(lookupLimit),
	"change_join_requests":  change(changeLimit),

	"chat_settings":    lookup(lookupLimit),
	"archive":          change(changeLimit),
	"pin":              change(changeLimit),
	"mute":             change(changeLimit),
	"mark_unread":      change(changeLimit),
	"delete_chat":      change(changeLimit),
	"set_disappearing": change(changeLimit),

	"newsletters":         lookup(lookupLimit),
	"newsletter":          lookup(lookupLimit),
	"create_newsletter":   change(changeLimit),
	"follow_newsletter":   change(changeLimit),
	"unfollow_newsletter": change(changeLimit),
	"mute_newsletter":     change(changeLimit),
	"newsletter_messages": lookup(lookupLimit),
}
