package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Header is what every message carries beside its own fields.
type Header struct {
	Type string `json:"type"`
	ID   uint64 `json:"id,omitempty"` // chosen by the client; 0 asks for no reply
	Re   uint64 `json:"re,omitempty"` // in a reply, the ID it answers
}

// DecodeError says what is wrong with a message, in words fit for an Error message: it never
// repeats a value, only names of types and fields.
type DecodeError struct {
	Code   string // CodeBadMessage, CodeUnknownType or CodeMessageTooLarge
	Detail string
	ID     uint64 // of the offending message, where it could be read
}

func (e *DecodeError) Error() string { return e.Code + ": " + e.Detail }

// Decode reads one message from a client. Unknown types and unknown fields are errors: a vendor's
// spelling mistake must not silently do nothing. Every error is a *DecodeError.
func Decode(data []byte) (ClientMessage, uint64, error) {
	if len(data) > MaxMessageBytes {
		return nil, 0, &DecodeError{Code: CodeMessageTooLarge, Detail: fmt.Sprintf("a message may have %d bytes", MaxMessageBytes)}
	}
	var h Header
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, 0, &DecodeError{Code: CodeBadMessage, Detail: describe(err)}
	}
	m := newClientMessage(h.Type)
	if m == nil {
		return nil, h.ID, &DecodeError{Code: CodeUnknownType, Detail: fmt.Sprintf("unknown message type %q", clip(h.Type)), ID: h.ID}
	}
	if err := decodeStrict(data, m); err != nil {
		return nil, h.ID, &DecodeError{Code: CodeBadMessage, Detail: h.Type + ": " + describe(err), ID: h.ID}
	}
	return m, h.ID, nil
}

// DecodeServer reads one message from a server. Unknown fields are ignored and an unknown type
// yields a nil message, because servers may be newer than clients.
func DecodeServer(data []byte) (ServerMessage, Header, error) {
	var h Header
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, h, fmt.Errorf("wire: server message: %w", err)
	}
	m := newServerMessage(h.Type)
	if m == nil {
		return nil, h, nil
	}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, h, fmt.Errorf("wire: server message %q: %w", clip(h.Type), err)
	}
	return m, h, nil
}

// Encode writes one message from the server; re is the ID of the message it answers, or 0.
func Encode(m ServerMessage, re uint64) ([]byte, error) {
	return encode(Header{Type: m.serverType(), Re: re}, m)
}

// EncodeClient writes one message from a client; id asks for a reply, 0 for none.
func EncodeClient(m ClientMessage, id uint64) ([]byte, error) {
	return encode(Header{Type: m.clientType(), ID: id}, m)
}

// TypeOf returns the type of a client's message as it is on the wire.
func TypeOf(m ClientMessage) string { return m.clientType() }

// encode splices header and body, both JSON objects, into one object.
func encode(h Header, body any) ([]byte, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("wire: encode %s: %w", h.Type, err)
	}
	rest, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("wire: encode %s: %w", h.Type, err)
	}
	if len(rest) == len("{}") {
		return head, nil
	}
	out := append(head[:len(head)-1], ',')
	return append(out, rest[1:]...), nil
}

// decodeStrict fills m from data, whose header fields are known and taken away first.
func decodeStrict(data []byte, m ClientMessage) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	delete(fields, "type")
	delete(fields, "id")
	body, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// describe turns an error of encoding/json into words that name a field but repeat no value.
func describe(err error) string {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		if typ.Field == "" {
			return "must be a JSON object"
		}
		kind, _, _ := strings.Cut(typ.Value, " ") // "number -1" repeats the number
		return fmt.Sprintf("field %q must be a %s, not a %s", clip(typ.Field), typ.Type, kind)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return "unknown field " + clip(name)
	}
	return "not valid JSON"
}

// clip bounds what of a client's own text is sent back to it.
func clip(s string) string {
	const longest = 64
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

func newClientMessage(typ string) ClientMessage {
	switch typ {
	case "join":
		return new(Join)
	case "offer":
		return new(Offer)
	case "mute":
		return new(Mute)
	case "layout":
		return new(Layout)
	case "stats":
		return new(Stats)
	case "admit":
		return new(Admit)
	case "refuse":
		return new(Refuse)
	case "remove":
		return new(Remove)
	case "hold":
		return new(Hold)
	case "unhold":
		return new(Unhold)
	case "message":
		return new(Say)
	case "consent":
		return new(Consent)
	case "record":
		return new(Record)
	case "end":
		return new(End)
	case "leave":
		return new(Leave)
	}
	return nil
}

func newServerMessage(typ string) ServerMessage {
	switch typ {
	case "joined":
		return new(Joined)
	case "state":
		return new(StateChanged)
	case "roster":
		return new(Roster)
	case "answer":
		return new(Answer)
	case "slots":
		return new(Slots)
	case "layers":
		return new(Layers)
	case "audio":
		return new(Audio)
	case "speakers":
		return new(Speakers)
	case "quality":
		return new(Quality)
	case "recording":
		return new(Recording)
	case "message":
		return new(Said)
	case "resume":
		return new(Resume)
	case "ice_servers":
		return new(ICEServers)
	case "restart":
		return new(Restart)
	case "ended":
		return new(Ended)
	case "error":
		return new(Error)
	case "done":
		return new(Done)
	}
	return nil
}
