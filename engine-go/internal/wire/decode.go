package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrNotOurs is wrapped by every error of Decode: the bytes are no message of this protocol version.
var ErrNotOurs = errors.New("not a message of this protocol")

// Decoder turns bytes back into one of a fixed set of structs, which are told apart by their name. Unlike package json it is strict: an unknown
// field, a missing field, and a value that does not fit its type are errors. Both sides are ours, so anything else is garbage.
type Decoder struct {
	members map[string]reflect.Type
}

// NewDecoder returns a decoder for the types of the values given. It is meant for messages that are made of strings, numbers, booleans,
// bytes, pointers to those, and slices of structs.
func NewDecoder(members ...any) *Decoder {
	decoder := &Decoder{members: make(map[string]reflect.Type, len(members))}
	for _, member := range members {
		kind := reflect.TypeOf(member)
		decoder.members[kind.Name()] = kind
	}
	return decoder
}

// Decode parses one message and returns it as a value (not a pointer).
func (decoder *Decoder) Decode(body []byte) (any, error) {
	fields, err := object(body)
	if err != nil {
		return nil, err
	}
	var name string
	if err = json.Unmarshal(fields[Tag], &name); err != nil {
		return nil, fmt.Errorf("%w: no name", ErrNotOurs)
	}
	kind, known := decoder.members[name]
	if !known {
		return nil, fmt.Errorf("%w: unknown message", ErrNotOurs)
	}
	value := reflect.New(kind).Elem()
	if err = fill(value, fields); err != nil {
		return nil, err
	}
	return value.Interface(), nil
}

// object is the fields of a JSON object.
func object(body []byte) (map[string]json.RawMessage, error) {
	body, ok := withoutSurrogates(body)
	if !ok {
		return nil, fmt.Errorf("%w: no UTF-8", ErrNotOurs)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("%w: no JSON object", ErrNotOurs)
	}
	return fields, nil
}

// withoutSurrogates is a body whose halves of surrogate pairs have become U+FFFD. Python's texts may hold such halves, for example from a tenant's
// request, and are sent as they are. ok is false for what is no UTF-8 even so.
func withoutSurrogates(body []byte) (text []byte, ok bool) {
	if utf8.Valid(body) {
		return body, true
	}
	text = make([]byte, 0, len(body))
	for rest := body; len(rest) > 0; {
		letter, size := utf8.DecodeRune(rest)
		switch {
		case letter != utf8.RuneError || size > 1:
			text = append(text, rest[:size]...)
		case len(rest) >= 3 && rest[0] == 0xED && rest[1]&0xE0 == 0xA0 && rest[2]&0xC0 == 0x80:
			text, size = utf8.AppendRune(text, utf8.RuneError), 3
		default:
			return nil, false
		}
		rest = rest[size:]
	}
	return text, true
}

// fill sets the fields of a struct; its name has been checked or is checked here.
func fill(target reflect.Value, fields map[string]json.RawMessage) error {
	known := shapeOf(target.Type())
	var name string
	if err := json.Unmarshal(fields[Tag], &name); err != nil || name != known.name || len(fields) != len(known.fields)+1 {
		return fmt.Errorf("%w: the fields of %s do not fit", ErrNotOurs, known.name)
	}
	for _, each := range known.fields {
		raw, there := fields[each.name]
		if !there {
			return fmt.Errorf("%w: the fields of %s do not fit", ErrNotOurs, known.name)
		}
		if err := parse(target.Field(each.place), raw); err != nil {
			return fmt.Errorf("%w (%s.%s)", err, known.name, each.name)
		}
	}
	return nil
}

var errMisfit = fmt.Errorf("%w: a value that does not fit", ErrNotOurs)

func parse(target reflect.Value, raw json.RawMessage) error {
	raw = bytes.TrimSpace(raw)
	if string(raw) == "null" {
		if target.Kind() != reflect.Pointer {
			return errMisfit
		}
		target.SetZero()
		return nil
	}
	if target.Kind() == reflect.Pointer {
		target.Set(reflect.New(target.Type().Elem()))
		return parse(target.Elem(), raw)
	}
	if target.Type() == bytesType {
		return parseBytes(target, raw)
	}
	switch target.Kind() {
	case reflect.String:
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return errMisfit
		}
		target.SetString(text)
	case reflect.Bool:
		var truth bool
		if json.Unmarshal(raw, &truth) != nil {
			return errMisfit
		}
		target.SetBool(truth)
	case reflect.Int, reflect.Int64:
		number, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return errMisfit
		}
		target.SetInt(number)
	case reflect.Float64:
		var number float64
		if json.Unmarshal(raw, &number) != nil || math.IsInf(number, 0) {
			return errMisfit
		}
		target.SetFloat(number)
	case reflect.Slice:
		return parseList(target, raw)
	case reflect.Struct:
		fields, err := object(raw)
		if err != nil {
			return err
		}
		return fill(target, fields)
	default:
		return errMisfit
	}
	return nil
}

func parseBytes(target reflect.Value, raw json.RawMessage) error {
	var text string
	if json.Unmarshal(raw, &text) != nil || strings.ContainsAny(text, "\r\n") {
		return errMisfit
	}
	content, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return errMisfit
	}
	target.SetBytes(content)
	return nil
}

func parseList(target reflect.Value, raw json.RawMessage) error {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return errMisfit
	}
	target.Set(reflect.MakeSlice(target.Type(), len(items), len(items)))
	for place, item := range items {
		if err := parse(target.Index(place), item); err != nil {
			return err
		}
	}
	return nil
}
