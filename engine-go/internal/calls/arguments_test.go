package calls

import (
	"encoding/json"
	"errors"
	"testing"
)

const (
	ada    = "491511000001@s.whatsapp.net"
	adaLID = "123456@lid"
	team   = "120363000000000000@g.us"
	news   = "120363000000000001@newsletter"
)

// fitting has arguments for each method that take all of its branches.
var fitting = map[string][]string{
	"upload":             {`{"path":"/x","kind":"image"}`, `{"path":"/x","kind":"voice"}`},
	"mark_read":          {`{"chat":"` + ada + `","sender":"` + adaLID + `","message_ids":["A"]}`, `{"chat":"` + team + `","sender":"1:2@lid","message_ids":["A","B"],"played":true}`},
	"presence":           {`{"available":true}`},
	"chat_presence":      {`{"chat":"` + ada + `","state":"composing"}`, `{"chat":"` + team + `","state":"paused"}`},
	"subscribe_presence": {`{"jid":"` + ada + `"}`},
	"reject_call":        {`{"from":"` + ada + `","call_id":"X"}`},
	"request_history": {
		`{"chat":"` + ada + `","message_id":"A","from_me":false,"timestamp":1700000000}`,
		`{"chat":"` + ada + `","message_id":"A","from_me":true,"timestamp":1700000000,"count":500}`,
	},
	"is_on_whatsapp":        {`{"phones":["491511000001"]}`},
	"user_info":             {`{"jids":["` + ada + `","` + adaLID + `"]}`},
	"avatar":                {`{"jid":"` + ada + `"}`, `{"jid":"` + team + `","preview":true}`, `{"jid":"` + team + `","preview":null}`},
	"contacts":              {`{}`},
	"lid":                   {`{"phone":"491511000001"}`},
	"phone":                 {`{"lid":"` + adaLID + `"}`},
	"blocklist":             {` {} `},
	"block":                 {`{"jid":"` + ada + `"}`},
	"unblock":               {`{"jid":"` + adaLID + `"}`},
	"privacy":               {`{}`},
	"set_privacy":           {`{"name":"last_seen","value":"contact_blacklist"}`, `{"name":"online","value":"match_last_seen"}`},
	"profile":               {`{}`},
	"set_profile_name":      {`{"name":"Ada"}`},
	"set_about":             {`{"about":"here"}`, `{"about":""}`},
	"set_profile_picture":   {`{"path":"/x"}`, `{"path":null}`, `{}`},
	"groups":                {`{}`, `{"participants":true}`},
	"group":                 {`{"jid":"` + team + `"}`},
	"create_group":          {`{"subject":"Team","participants":[]}`, `{"subject":"Team","participants":["` + ada + `"]}`},
	"change_participants":   {`{"jid":"` + team + `","action":"demote","participants":["` + ada + `"]}`},
	"set_group_subject":     {`{"jid":"` + team + `","subject":"Crew"}`},
	"set_group_description": {`{"jid":"` + team + `","description":""}`},
	"set_group_picture":     {`{"jid":"` + team + `","path":"/x"}`, `{"jid":"` + team + `","path":null}`},
	"set_group_announce":    {`{"jid":"` + team + `","announce":false}`},
	"set_group_locked":      {`{"jid":"` + team + `","locked":true}`},
	"group_invite_link":     {`{"jid":"` + team + `"}`, `{"jid":"` + team + `","reset":true}`},
	"group_by_link":         {`{"link":"AAAAAAAAAAAAAAAAAAAAAA"}`, `{"link":" https://chat.whatsapp.com/AAAAAAAAAAA_-AAA?mode=ac_t "}`},
	"join_group":            {`{"link":"AAAAAAAAAAAAAAAAAAAAAA"}`},
	"leave_group":           {`{"jid":"` + team + `"}`},
	"join_requests":         {`{"jid":"` + team + `"}`},
	"change_join_requests":  {`{"jid":"` + team + `","action":"approve","participants":["` + adaLID + `"]}`},
	"chat_settings":         {`{"chats":[]}`, `{"chats":["` + ada + `","` + team + `"]}`},
	"archive":               {`{"chat":"` + ada + `","archived":true}`},
	"pin":                   {`{"chat":"` + team + `","pinned":false}`},
	"mute":                  {`{"chat":"` + ada + `","muted":true}`, `{"chat":"` + ada + `","muted":true,"until":1900000000}`, `{"chat":"` + ada + `","muted":false,"until":null}`},
	"mark_unread":           {`{"chat":"` + ada + `","unread":true}`},
	"delete_chat":           {`{"chat":"` + ada + `"}`, `{"chat":"` + ada + `","keep":true}`},
	"set_disappearing":      {`{"chat":"` + ada + `","seconds":0}`, `{"chat":"` + team + `","seconds":7776000}`},
	"newsletters":           {`{}`},
	"newsletter":            {`{"jid":"` + news + `","link":null}`, `{"jid":null,"link":"https://whatsapp.com/channel/0029Va?x=1"}`},
	"create_newsletter":     {`{"name":"Mine","description":null,"path":null}`, `{"name":"Mine","description":"what","path":"/x"}`},
	"follow_newsletter":     {`{"jid":"` + news + `"}`},
	"unfollow_newsletter":   {`{"jid":"` + news + `"}`},
	"mute_newsletter":       {`{"jid":"` + news + `","muted":true}`},
	"newsletter_messages":   {`{"jid":"` + news + `"}`, `{"jid":"` + news + `","count":100,"before":7}`},
}

func TestArgumentsThatFit(t *testing.T) {
	for name, known := range methods {
		if len(fitting[name]) == 0 {
			t.Errorf("%s: no case", name)
		}
		for _, given := range fitting[name] {
			if do, err := known.prepared(json.RawMessage(given)); err != nil || do == nil {
				t.Errorf("%s %s: %v", name, given, err)
			}
		}
	}
}

func refusedAs(t *testing.T, name, given string) string {
	t.Helper()
	_, err := methods[name].prepared(json.RawMessage(given))
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Errorf("%s %s: not refused: %v", name, given, err)
		return ""
	}
	return refusal.Code
}

func TestArgumentsThatDoNotFit(t *testing.T) {
	cases := map[string][]string{
		"upload":             {`{"path":"/x","kind":"hologram"}`, `{"kind":"image"}`, `{"path":7,"kind":"image"}`},
		"mark_read":          {`{"chat":"nobody","sender":"` + ada + `","message_ids":["a"]}`, `{"chat":"` + ada + `","sender":"` + ada + `","message_ids":["a b"]}`, `{"chat":"` + ada + `","sender":"` + ada + `","message_ids":[]}`, `{"chat":"` + ada + `","sender":"` + ada + `","message_ids":[null]}`, `{"chat":"` + ada + `","sender":"` + ada + `","message_ids":["a"],"played":"yes"}`},
		"presence":           {`{}`, `{"available":null}`, `{"available":1}`},
		"chat_presence":      {`{"chat":"` + ada + `","state":"levitating"}`, `{"chat":"` + ada + `"}`},
		"subscribe_presence": {`{"jid":""}`},
		"reject_call":        {`{"from":"` + ada + `"}`},
		"request_history": {
			`{"chat":"` + ada + `","count":50}`,
			`{"chat":"` + ada + `","message_id":"A","from_me":true,"timestamp":1,"count":0}`,
			`{"chat":"` + ada + `","message_id":"A","from_me":true,"timestamp":1.5}`,
			`{"chat":"` + news + `","message_id":"A","from_me":true,"timestamp":1}`,
		},
		"is_on_whatsapp":        {`{"phones":["49 151"]}`, `{"phones":[]}`, `{"phones":[491511000001]}`, `{"phones":["49151\n"]}`, `{"phones":"491511000001"}`},
		"user_info":             {`{"jids":[]}`, `{"jids":["` + team + `"]}`},
		"avatar":                {`{"jid":"` + news + `"}`},
		"contacts":              {`[]`, `null`, ``, `{"all":true}`, `{`, `{} {}`},
		"lid":                   {`{"phone":"+4915"}`},
		"phone":                 {`{"lid":"` + ada + `"}`},
		"set_privacy":           {`{"name":"last_seen","value":"nobody"}`, `{"name":"shoe_size","value":"all"}`, `{"name":"online","value":"contacts"}`, `{"name":"online","value":""}`, `{"name":"online","value":"all, match_last_seen"}`},
		"set_profile_name":      {`{"name":" "}`, `{"name":"a\u0000"}`},
		"set_about":             {`{}`, `{"about":"\u0000"}`},
		"group":                 {`{"jid":"` + ada + `"}`, `{}`, `{"jid":17}`, `{"JID":"` + team + `"}`},
		"create_group":          {`{"subject":"","participants":[]}`, `{"subject":"x"}`, `{"subject":"x","participants":["` + team + `"]}`},
		"change_participants":   {`{"jid":"1203630@g.us","action":"crown","participants":["` + ada + `"]}`, `{"jid":"1203630@g.us","action":"add","participants":[]}`},
		"set_group_description": {`{"jid":"` + team + `"}`},
		"group_by_link":         {`{"link":"short"}`, `{"link":"https://example.org/AAAAAAAAAAAAAAAA"}`},
		"change_join_requests":  {`{"jid":"` + team + `","action":"add","participants":["` + ada + `"]}`},
		"chat_settings":         {`{"chats":["` + news + `"]}`, `{}`},
		"mute":                  {`{"chat":"` + ada + `","muted":true,"until":-5}`, `{"chat":"` + ada + `"}`},
		"set_disappearing":      {`{"chat":"` + ada + `","seconds":5}`, `{"chat":"` + ada + `","seconds":"0"}`},
		"newsletter":            {`{}`, `{"jid":null,"link":null}`, `{"link":"https://example.org/x"}`, `{"jid":"` + team + `"}`},
		"create_newsletter":     {`{"name":""}`},
		"newsletter_messages":   {`{"jid":"` + news + `","count":1000}`, `{"jid":"` + news + `","before":0}`},
	}
	for name, all := range cases {
		for _, given := range all {
			if code := refusedAs(t, name, given); code != "Invalid" {
				t.Errorf("%s %s: %s", name, given, code)
			}
		}
	}
}

func TestNoMethodTakesWhatItDoesNotKnow(t *testing.T) {
	for name, all := range fitting {
		for _, given := range all {
			var values map[string]any
			if err := json.Unmarshal([]byte(given), &values); err != nil {
				t.Fatal(err)
			}
			values["whatever"] = 1
			more, err := json.Marshal(values)
			if err != nil {
				t.Fatal(err)
			}
			if code := refusedAs(t, name, string(more)); code != "Invalid" {
				t.Errorf("%s %s: %s", name, more, code)
			}
		}
	}
}

func TestJIDs(t *testing.T) {
	for _, text := range []string{ada, adaLID, team, news, "49151:7@s.whatsapp.net", "49151.1:7@s.whatsapp.net", "status@broadcast", "1-2@g.us"} {
		jid, ok := parseJID(text)
		if !ok || jid.String() != text {
			t.Errorf("%s became %s", text, jid)
		}
	}
	for _, text := range []string{
		"", "nobody", "@lid", "a b@lid", "a\u00a0b@lid", "1@LID", "1:70000@lid", "1.300:1@lid", "1:x@lid", "1@lid\n", "1@2@lid", "1@",
	} {
		if jid, ok := parseJID(text); ok {
			t.Errorf("%q became %s", text, jid)
		}
	}
}

func FuzzArguments(f *testing.F) {
	for name, all := range fitting {
		for _, given := range all {
			f.Add(name, given)
		}
	}
	f.Fuzz(func(t *testing.T, name, given string) {
		known, ok := methods[name]
		if !ok {
			return
		}
		do, err := known.prepared(json.RawMessage(given))
		var refusal *Refusal
		if (err == nil) != (do != nil) || (err != nil && !errors.As(err, &refusal)) {
			t.Errorf("%s %q: %v", name, given, err)
		}
	})
}
