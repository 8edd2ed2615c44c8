package calls

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"go.mau.fi/whatsmeow/types"
)

// arguments are those of one call. A reader takes each once; the first that does not fit is kept, and the others then
// give empty values. Null is the same as not given.
type arguments struct {
	given   map[string]json.RawMessage
	problem *Refusal
}

func parse(given json.RawMessage) (*arguments, error) {
	in := &arguments{}
	if !bytes.HasPrefix(bytes.TrimLeft(given, " \t\r\n"), []byte("{")) || json.Unmarshal(given, &in.given) != nil {
		return nil, refuse("Invalid", "the arguments are no object")
	}
	return in, nil
}

// end is what was wrong with the arguments, also when one is not known.
func (in *arguments) end() error {
	for name, value := range in.given {
		if !isNull(value) {
			in.refuse("there is an argument that this call does not take")
		}
		delete(in.given, name)
	}
	if in.problem != nil {
		return in.problem
	}
	return nil
}

func (in *arguments) refuse(message string) {
	if in.problem == nil {
		in.problem = refuse("Invalid", message)
	}
}

func isNull(value json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(value), []byte("null")) }

// take is the value of an argument, nil if it was not given.
func (in *arguments) take(name string) json.RawMessage {
	value := in.given[name]
	delete(in.given, name)
	if isNull(value) {
		return nil
	}
	return value
}

// read puts an argument into target and tells whether it was given and fits.
func (in *arguments) read(name string, needed bool, target any) bool {
	value := in.take(name)
	if value == nil {
		if needed {
			in.refuse("the argument " + name + " is missing")
		}
		return false
	}
	if json.Unmarshal(value, target) != nil {
		in.refuse("the argument " + name + " does not fit")
		return false
	}
	return true
}

func (in *arguments) text(name string) string {
	var value string
	in.read(name, true, &value)
	return value
}

func (in *arguments) optionalText(name string) string {
	var value string
	in.read(name, false, &value)
	return value
}

// words is a text that somebody will read: without NUL, and not blank.
func (in *arguments) words(name, problem string) string {
	value := in.text(name)
	if strings.TrimSpace(value) == "" || strings.ContainsRune(value, 0) {
		in.refuse(problem)
	}
	return value
}

func (in *arguments) flag(name string) bool {
	var value bool
	in.read(name, true, &value)
	return value
}

func (in *arguments) optionalFlag(name string) bool {
	var value bool
	in.read(name, false, &value)
	return value
}

func (in *arguments) integer(name string) int64 {
	var value int64
	in.read(name, true, &value)
	return value
}

// optionalInteger is nil if it was not given.
func (in *arguments) optionalInteger(name string) *int64 {
	var value int64
	if !in.read(name, false, &value) {
		return nil
	}
	return &value
}

// between is an integer of a range, or fallback if it was not given.
func (in *arguments) between(name string, fallback, least, most int64) int64 {
	value := in.optionalInteger(name)
	if value == nil {
		return fallback
	}
	if *value < least || *value > most {
		in.refuse(name + " is between " + strconv.FormatInt(least, 10) + " and " + strconv.FormatInt(most, 10))
	}
	return *value
}

// texts is a list, possibly empty, of texts.
func (in *arguments) texts(name string) []string {
	var values []*string // a null in the list would else be an empty text
	in.read(name, true, &values)
	texts := make([]string, 0, len(values))
	for _, value := range values {
		if value == nil {
			in.refuse("the argument " + name + " does not fit")
			return nil
		}
		texts = append(texts, *value)
	}
	return texts
}

// oneOf is a text out of a table.
func oneOf[Value any](in *arguments, name, problem string, table map[string]Value) Value {
	value, ok := table[in.text(name)]
	if !ok {
		in.refuse(problem)
	}
	return value
}

// anyJID is a JID on whatever server.
func (in *arguments) anyJID(name string) types.JID {
	jid, ok := parseJID(in.text(name))
	if !ok {
		in.refuse("the argument " + name + " is no JID")
	}
	return jid
}

func (in *arguments) jidOn(name string, servers ...string) types.JID {
	return in.on(in.text(name), servers)
}

func (in *arguments) on(text string, servers []string) types.JID {
	if jid, ok := parseJID(text); ok {
		for _, server := range servers {
			if jid.Server == server {
				return jid
			}
		}
	}
	in.refuse("this takes a JID on " + strings.Join(servers, " or "))
	return types.EmptyJID
}

func (in *arguments) person(name string) types.JID {
	return in.jidOn(name, types.DefaultUserServer, types.HiddenUserServer)
}

func (in *arguments) group(name string) types.JID { return in.jidOn(name, types.GroupServer) }

func (in *arguments) newsletter(name string) types.JID { return in.jidOn(name, types.NewsletterServer) }

// chatServers are where chats are: persons by number or LID, and groups.
var chatServers = []string{types.DefaultUserServer, types.HiddenUserServer, types.GroupServer}

func (in *arguments) chat(name string) types.JID { return in.jidOn(name, chatServers...) }

func (in *arguments) chats(name string) []types.JID { return in.jids(name, chatServers) }

func (in *arguments) persons(name string) []types.JID {
	return in.jids(name, []string{types.DefaultUserServer, types.HiddenUserServer})
}

func (in *arguments) jids(name string, servers []string) []types.JID {
	texts := in.texts(name)
	jids := make([]types.JID, 0, len(texts))
	for _, text := range texts {
		jids = append(jids, in.on(text, servers))
	}
	return jids
}

var jidPattern = regexp.MustCompile(`^([^.:@\s\p{Z}]+)(?:\.([0-9]+))?(?::([0-9]+))?@([a-z0-9.]+)$`)

// parseJID reads <user>[.<agent>][:<device>]@<server>; whatsmeow's own function takes anything.
func parseJID(text string) (types.JID, bool) {
	parts := jidPattern.FindStringSubmatch(text)
	if parts == nil {
		return types.EmptyJID, false
	}
	jid := types.NewJID(parts[1], parts[4])
	if parts[2] != "" {
		agent, err := strconv.ParseUint(parts[2], 10, 8)
		if err != nil {
			return types.EmptyJID, false
		}
		jid.RawAgent = uint8(agent)
	}
	if parts[3] != "" {
		device, err := strconv.ParseUint(parts[3], 10, 16)
		if err != nil {
			return types.EmptyJID, false
		}
		jid.Device = uint16(device)
	}
	return jid, true
}
