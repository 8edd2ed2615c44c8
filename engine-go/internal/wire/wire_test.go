package wire

import (
	"math"
	"testing"
	"time"
)

type inner struct {
	Name string `json:"name"`
}

type outer struct {
	Text   string     `json:"text"`
	Maybe  *string    `json:"maybe"`
	Bytes  []byte     `json:"bytes"`
	At     time.Time  `json:"at"`
	Number int64      `json:"number"`
	Float  float64    `json:"float"`
	Yes    bool       `json:"yes"`
	Many   []inner    `json:"many"`
	Words  []string   `json:"words"`
	Inner  inner      `json:"inner"`
	Hidden []byte     `json:"-"`
	Later  *time.Time `json:"later"`
}

func TestAppendWritesWhatPythonWrites(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 0, 5, 120_000, time.FixedZone("", 3600))
	value := outer{
		Text: "a\"\\\n\r\t\b\f\x01\u2028<&>é\x7f", Bytes: []byte{0xff, 0}, At: at, Number: -3, Float: 12.5, Yes: true,
		Many: []inner{{"x"}, {"y"}}, Hidden: []byte("no"),
	}
	encoded, err := Append(nil, value)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"is":"outer","text":"a\"\\\n\r\t\b\f\u0001` + "\u2028<&>é\x7f" + `","maybe":null,"bytes":"/wA=",` +
		`"at":"2026-11-22T13:00:05.000120+00:00","number":-3,"float":12.5,"yes":true,"many":[{"is":"inner","name":"x"},{"is":"inner","name":"y"}],` +
		`"words":[],"inner":{"is":"inner","name":""},"later":null}`
	if string(encoded) != want {
		t.Errorf("got  %s\nwant %s", encoded, want)
	}
}

func TestAppendRepairsWhatIsNoText(t *testing.T) {
	encoded, err := Append(nil, inner{"a\xff\xfeb"})
	if err != nil || string(encoded) != `{"is":"inner","name":"a`+"\uFFFD"+`b"}` {
		t.Errorf("%s %v", encoded, err)
	}
}

func TestAppendRefusesWhatIsNoNumber(t *testing.T) {
	for _, number := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, err := Append(nil, number); err == nil {
			t.Errorf("%v was written", number)
		}
	}
}

func TestDecodeTakesHalvesOfPairs(t *testing.T) {
	decoder := NewDecoder(inner{})
	for body, want := range map[string]string{
		"{\"is\":\"inner\",\"name\":\"a\xed\xa0\xbdb\"}":           "a\uFFFDb",
		"{\"is\":\"inner\",\"name\":\"\xed\xa0\xbd\xed\xb8\x80\"}": "\uFFFD\uFFFD",
		`{"is":"inner","name":"\ud83d"}`:                           "\uFFFD",
		"{\"is\":\"inner\",\"name\":\"\uFFFD\U0001F600\"}":         "\uFFFD\U0001F600",
	} {
		if decoded, err := decoder.Decode([]byte(body)); err != nil || decoded != (inner{want}) {
			t.Errorf("%q: %v %v", body, decoded, err)
		}
	}
	for _, broken := range []string{"\xed\xa0", "\xed\xa0\x41", "\xff", "\xc0\x80", "\xed\xa0\xbd\xfe"} {
		if _, err := decoder.Decode([]byte("{\"is\":\"inner\",\"name\":\"" + broken + "\"}")); err == nil {
			t.Errorf("%q was taken", broken)
		}
	}
}
