// Package wire turns structs into the JSON of the engine protocol and back, exactly as connector/whatsam_connector/engine/wire.py does.
//
// A struct is an object whose first field "is" names its type; the other fields follow in order of declaration under their json tags. A field
// tagged "-" does not travel. Bytes are base64, times ISO 8601 in UTC, a nil pointer is null, and a nil slice an empty list. Called by
// package protocol for the socket and by package journal for records.
package wire

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Tag is the JSON field that says which struct an object is.
const Tag = "is"

var (
	timeType  = reflect.TypeFor[time.Time]()
	bytesType = reflect.TypeFor[[]byte]()
)

// shape is what is known of a struct type.
type shape struct {
	name   string
	fields []field
	index  map[string]int
}

type field struct {
	name  string
	place int
}

var shapes sync.Map

func shapeOf(kind reflect.Type) *shape {
	if known, ok := shapes.Load(kind); ok {
		return known.(*shape)
	}
	found := &shape{name: kind.Name(), index: map[string]int{}}
	for place := range kind.NumField() {
		name := kind.Field(place).Tag.Get("json")
		if name == "" || name == "-" {
			continue
		}
		found.index[name] = len(found.fields)
		found.fields = append(found.fields, field{name, place})
	}
	shapes.Store(kind, found)
	return found
}

// Append appends the JSON of a struct (or of what may be inside one) to target. It fails for a type or a number that JSON has no word for.
func Append(target []byte, value any) ([]byte, error) {
	return appendValue(target, reflect.ValueOf(value))
}

func appendValue(target []byte, value reflect.Value) ([]byte, error) {
	if !value.IsValid() {
		return append(target, "null"...), nil
	}
	switch value.Type() {
	case timeType:
		return appendTime(target, value.Interface().(time.Time)), nil
	case bytesType:
		target = append(target, '"')
		target = base64.StdEncoding.AppendEncode(target, value.Bytes())
		return append(target, '"'), nil
	}
	switch value.Kind() {
	case reflect.String:
		return appendString(target, value.String()), nil
	case reflect.Bool:
		return strconv.AppendBool(target, value.Bool()), nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(target, value.Int(), 10), nil
	case reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(target, value.Uint(), 10), nil
	case reflect.Float64:
		number := value.Float()
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return nil, fmt.Errorf("wire: %v is no number of JSON", number)
		}
		return strconv.AppendFloat(target, number, 'f', -1, 64), nil
	case reflect.Pointer, reflect.Interface:
		if value.IsNil() {
			return append(target, "null"...), nil
		}
		return appendValue(target, value.Elem())
	case reflect.Slice:
		return appendList(target, value)
	case reflect.Struct:
		return appendStruct(target, value)
	}
	return nil, fmt.Errorf("wire: a %s cannot travel", value.Type())
}

func appendList(target []byte, value reflect.Value) ([]byte, error) {
	target = append(target, '[')
	var err error
	for place := range value.Len() {
		if place > 0 {
			target = append(target, ',')
		}
		if target, err = appendValue(target, value.Index(place)); err != nil {
			return nil, err
		}
	}
	return append(target, ']'), nil
}

func appendStruct(target []byte, value reflect.Value) ([]byte, error) {
	known := shapeOf(value.Type())
	target = append(target, `{"`+Tag+`":`...)
	target = appendString(target, known.name)
	var err error
	for _, each := range known.fields {
		target = append(target, ',')
		target = appendString(target, each.name)
		target = append(target, ':')
		if target, err = appendValue(target, value.Field(each.place)); err != nil {
			return nil, err
		}
	}
	return append(target, '}'), nil
}

// appendTime writes what Python's isoformat writes: microseconds only where there are some.
func appendTime(target []byte, moment time.Time) []byte {
	layout := `"2006-01-02T15:04:05+00:00"`
	moment = moment.UTC()
	if moment.Nanosecond()/1000 != 0 {
		layout = `"2006-01-02T15:04:05.000000+00:00"`
	}
	return moment.AppendFormat(target, layout)
}

const hexDigits = "0123456789abcdef"

// appendString escapes what Python's json.dumps(ensure_ascii=False) escapes and nothing else. What is no UTF-8 becomes U+FFFD.
func appendString(target []byte, text string) []byte {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	target = append(target, '"')
	start := 0
	for place := range len(text) {
		letter := text[place]
		if letter >= ' ' && letter != '"' && letter != '\\' {
			continue
		}
		target = append(target, text[start:place]...)
		start = place + 1
		switch letter {
		case '"', '\\':
			target = append(target, '\\', letter)
		case '\n':
			target = append(target, '\\', 'n')
		case '\r':
			target = append(target, '\\', 'r')
		case '\t':
			target = append(target, '\\', 't')
		case '\b':
			target = append(target, '\\', 'b')
		case '\f':
			target = append(target, '\\', 'f')
		default:
			target = append(target, '\\', 'u', '0', '0', hexDigits[letter>>4], hexDigits[letter&15])
		}
	}
	return append(append(target, text[start:]...), '"')
}
