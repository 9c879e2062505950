package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/signaling/wire"
)

func TestDecodeErrors(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, tt := range []struct {
		name, text string
		want       wire.DecodeError
	}{
		{"empty", ``, wire.DecodeError{Code: "bad_message", Detail: "not valid JSON"}},
		{"not JSON", `hello`, wire.DecodeError{Code: "bad_message", Detail: "not valid JSON"}},
		{"an array", `[]`, wire.DecodeError{Code: "bad_message", Detail: "must be a JSON object"}},
		{"two values", `{"type":"end"}{"type":"end"}`, wire.DecodeError{Code: "bad_message", Detail: "not valid JSON"}},
		{"no type", `{"id":3}`, wire.DecodeError{Code: "unknown_type", Detail: `unknown message type ""`, ID: 3}},
		{"a type of the server", `{"type":"roster","id":3}`, wire.DecodeError{Code: "unknown_type", Detail: `unknown message type "roster"`, ID: 3}},
		{"an unknown type", `{"type":"dance","id":3}`, wire.DecodeError{Code: "unknown_type", Detail: `unknown message type "dance"`, ID: 3}},
		{"a long type", `{"type":"` + long + `"}`, wire.DecodeError{Code: "unknown_type", Detail: `unknown message type "` + long[:64] + `…"`}},
		{"an unknown field", `{"type":"end","id":3,"now":true}`, wire.DecodeError{Code: "bad_message", Detail: `end: unknown field "now"`, ID: 3}},
		{"an unknown field below", `{"type":"offer","id":3,"tracks":[{"mid":"0","rid":"f"}]}`, wire.DecodeError{Code: "bad_message", Detail: `offer: unknown field "rid"`, ID: 3}},
		{"a field of a reply", `{"type":"end","re":3}`, wire.DecodeError{Code: "bad_message", Detail: `end: unknown field "re"`}},
		{"a wrong type", `{"type":"mute","id":3,"muted":"yes"}`, wire.DecodeError{Code: "bad_message", Detail: `mute: field "muted" must be a bool, not a string`, ID: 3}},
		{"a negative id", `{"type":"end","id":-1}`, wire.DecodeError{Code: "bad_message", Detail: `field "id" must be a uint64, not a number`}},
		{"too large", `{"type":"message","body":"` + strings.Repeat("x", wire.MaxMessageBytes) + `"}`,
			wire.DecodeError{Code: "message_too_large", Detail: "a message may have 131072 bytes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _, err := wire.Decode([]byte(tt.text))
			var got *wire.DecodeError
			if m != nil || !errors.As(err, &got) {
				t.Fatalf("got %+v, %v; want a *DecodeError", m, err)
			}
			if *got != tt.want {
				t.Errorf("got %+v, want %+v", *got, tt.want)
			}
		})
	}
}

func TestDecodeServerIsLenient(t *testing.T) {
	m, h, err := wire.DecodeServer([]byte(`{"type":"ended","re":4,"reason":"left","new":1}`))
	if err != nil || h.Re != 4 || m == nil || *m.(*wire.Ended) != (wire.Ended{Reason: "left"}) {
		t.Errorf("an unknown field: %+v, %+v, %v", m, h, err)
	}
	if m, h, err = wire.DecodeServer([]byte(`{"type":"hologram","x":1}`)); err != nil || m != nil || h.Type != "hologram" {
		t.Errorf("an unknown type: %+v, %+v, %v", m, h, err)
	}
	for _, text := range []string{``, `[]`, `{"type":"ended","reason":1}`} {
		if m, _, err = wire.DecodeServer([]byte(text)); err == nil || m != nil {
			t.Errorf("%q: %+v, %v, want an error", text, m, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, tt := range clientGolden {
		data, err := wire.EncodeClient(tt.m, tt.id)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, id, err := wire.Decode(data)
		if err != nil {
			var de *wire.DecodeError
			if !errors.As(err, &de) || len(de.Detail) > 300 {
				t.Fatalf("error %T with %d bytes", err, len(err.Error()))
			}
			return
		}
		again, err := wire.EncodeClient(m, id)
		if err != nil {
			t.Fatal(err)
		}
		if second, secondID, err := wire.Decode(again); len(again) <= wire.MaxMessageBytes &&
			(err != nil || secondID != id || wire.TypeOf(second) != wire.TypeOf(m)) {
			t.Fatalf("%s became %s: %v", data, again, err)
		}
	})
}

func FuzzDecodeServer(f *testing.F) {
	for _, tt := range serverGolden {
		data, err := wire.Encode(tt.m, tt.re)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, h, err := wire.DecodeServer(data)
		if err != nil || m == nil {
			return
		}
		if _, err := wire.Encode(m, h.Re); err != nil {
			t.Fatal(err)
		}
	})
}
