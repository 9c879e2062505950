package wire

// ClientMessage is a message from a client. The concrete types are the pointers to the structs of
// this file, and no others.
type ClientMessage interface{ clientType() string }

// Join must be the first message. Exactly one of Token and Resume is set.
type Join struct {
	Token  string `json:"token,omitempty"`
	Resume string `json:"resume,omitempty"`
	Client string `json:"client,omitempty"` // name and version of the SDK, <= 64 characters
}

// Offer is a complete SDP offer (no trickling); Tracks names its sending m-lines.
type Offer struct {
	SDP    string  `json:"sdp"`
	Tracks []Track `json:"tracks"`
}

// Mute stops or restarts the forwarding of one of the client's own m-lines.
type Mute struct {
	Mid   string `json:"mid"`
	Muted bool   `json:"muted"`
}

// Layout says what the client shows, and how large.
type Layout struct {
	Tiles []Tile `json:"tiles"`
}

// Stats tells what the client has played since it told last, five seconds ago. What the network lost
// the server knows itself.
type Stats struct {
	Samples   int `json:"samples"`   // of sound that arrived or had to be made up
	Concealed int `json:"concealed"` // of them, made up
	Freezes   int `json:"freezes"`   // pictures that stood still
	Frozen    int `json:"frozen"`    // ms, of the picture that stood longest
}

// Admit lets a waiting participant into the room.
type Admit struct {
	Participant string `json:"participant"`
}

// Refuse sends a waiting participant away.
type Refuse struct {
	Participant string `json:"participant"`
}

// Remove takes a participant out of the room and revokes the invitation.
type Remove struct {
	Participant string `json:"participant"`
}

// Hold takes a participant out of the conversation without sending them away: until Unhold they
// neither send nor receive media and know of nobody but themselves.
type Hold struct {
	Participant string `json:"participant"`
}

// Unhold brings a participant back who is on hold.
type Unhold struct {
	Participant string `json:"participant"`
}

// Say relays Body to one participant, or to everybody in the room when To is empty. A clinician may
// also write to somebody who waits or is on hold, who cannot answer. On the wire it is called
// "message" in both directions.
type Say struct {
	To   string `json:"to,omitempty"`
	Kind string `json:"kind"` // "chat"; others are relayed as they are
	Body string `json:"body"`
}

// Consent says whether the sender agrees to being recorded, having read the notice of that version. A
// guardian speaks for the patient, too. It may be given while waiting, and taken back at any time.
type Consent struct {
	Recording Decision `json:"recording"`
	Notice    string   `json:"notice,omitempty"` // the version; not needed to deny or withdraw
}

// Record asks everybody for their consent (RecordRequest), after which recording begins by itself, or
// stops it (RecordStop).
type Record struct {
	Action RecordAction `json:"action"`
}

// End ends the consultation for everybody.
type End struct{}

// Leave ends it for the sender. A clinician may name in To the clinician in the room who takes over;
// it is refused when that one is not there.
type Leave struct {
	To string `json:"to,omitempty"`
}

func (*Join) clientType() string    { return "join" }
func (*Offer) clientType() string   { return "offer" }
func (*Mute) clientType() string    { return "mute" }
func (*Layout) clientType() string  { return "layout" }
func (*Stats) clientType() string   { return "stats" }
func (*Admit) clientType() string   { return "admit" }
func (*Refuse) clientType() string  { return "refuse" }
func (*Remove) clientType() string  { return "remove" }
func (*Hold) clientType() string    { return "hold" }
func (*Unhold) clientType() string  { return "unhold" }
func (*Say) clientType() string     { return "message" }
func (*Consent) clientType() string { return "consent" }
func (*Record) clientType() string  { return "record" }
func (*End) clientType() string     { return "end" }
func (*Leave) clientType() string   { return "leave" }
