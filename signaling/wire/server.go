package wire

// ServerMessage is a message from the server. The concrete types are the pointers to the structs
// of this file, and no others.
type ServerMessage interface{ serverType() string }

// Joined answers Join.
type Joined struct {
	Self       string        `json:"self"`
	Role       Role          `json:"role"`
	Display    string        `json:"display,omitempty"`
	State      State         `json:"state"`
	Roster     []Participant `json:"roster"`
	Slots      SlotCount     `json:"slots"`
	ICEServers []ICEServer   `json:"ice_servers"`
	Policy     Policy        `json:"policy"`
	Facts      Facts         `json:"facts"`
	Resume     string        `json:"resume"`
}

// StateChanged tells a participant where they now stand. On the wire it is called "state".
type StateChanged struct {
	State State `json:"state"`
	Facts Facts `json:"facts"`
}

// Roster is everybody in the consultation, as far as the receiver may know. In the room it names
// everybody to whom the receiver's media may flow, before any of it does.
type Roster struct {
	Participants []Participant `json:"participants"`
	Facts        Facts         `json:"facts"`
}

// Answer answers Offer.
type Answer struct {
	SDP string `json:"sdp"`
}

// Slots lists the slots whose assignment changed. Epoch grows by one with each.
type Slots struct {
	Epoch       uint64       `json:"epoch"`
	Assignments []Assignment `json:"assignments"`
}

// Layers tells a publisher which of its encodings somebody receives.
type Layers struct {
	Mid        string         `json:"mid"`
	Active     []string       `json:"active"`                // RIDs
	MaxBitrate map[string]int `json:"max_bitrate,omitempty"` // bit/s by RID; what is not in it is left to the client
}

// Audio tells how the receiver's voice is to be sent, and others' played. What is 0 or empty is left to the
// client.
type Audio struct {
	MaxBitrate int   `json:"max_bitrate"` // of the receiver's voice, bit/s
	Carry      []int `json:"carry"`       // which packets before it each packet of it carries, counted back
	Delay      int   `json:"delay"`       // ms for which voices are to be held before they are played
	Ptime      int   `json:"ptime"`       // ms of the receiver's voice in a packet (RFC 8866 section 6.4)
}

// Speakers lists who speaks, loudest first; it is sent when that changes, at most 4 times a second.
type Speakers struct {
	Levels []Level `json:"levels"`
}

// Quality tells how good somebody's connection is, to and from the server. It is sent when a level
// changes, the receiver's own included; who has not been named has a good one. Clinicians get it every
// ten seconds about everybody, with figures.
type Quality struct {
	Participant string       `json:"participant"`
	Uplink      LinkLevel    `json:"uplink"`
	Downlink    LinkLevel    `json:"downlink"`
	Figures     *LinkFigures `json:"figures,omitempty"`
}

// LinkFigures are of the last seconds.
type LinkFigures struct {
	UplinkLoss   float64 `json:"uplink_loss"` // 0 to 1, before repair
	DownlinkLoss float64 `json:"downlink_loss"`
	RoundTrip    int     `json:"round_trip"` // ms between the participant and the server; 0 when not known
}

// KindHandedOver is the kind of a Said of the server's own, with no body: From has left the
// consultation to the receiver. Clients cannot send it.
const KindHandedOver = "handed_over"

// Recording tells whether anything is being recorded, and what the receiver has to do with it. It is in
// the receiver's queue before anything is written of anybody, and sent again when it changes. Until it
// comes, nothing is recorded.
type Recording struct {
	State  RecordingState `json:"state"`
	Notice string         `json:"notice"`           // the version of the notice that consent is to
	Reason string         `json:"reason,omitempty"` // why it is off or paused
	// Missing are those whose consent is needed and not there. Who may record is told of everybody,
	// others of themselves alone.
	Missing []string `json:"missing,omitempty"`
	Consent Decision `json:"consent,omitempty"` // the receiver's own
	Gaps    int      `json:"gaps,omitempty"`    // how often something could not be written; for who may record
}

// Said is a relayed Say. On the wire it is called "message".
type Said struct {
	From string `json:"from"`
	To   string `json:"to,omitempty"`
	Kind string `json:"kind"`
	Body string `json:"body"`
}

// Resume replaces the resume token: it restores the session within 60 s of losing it.
type Resume struct {
	Token string `json:"token"`
}

// ICEServers replaces the ICE servers of Joined: their credentials expire. They are for the next ICE
// restart; what is connected stays so.
type ICEServers struct {
	ICEServers []ICEServer `json:"ice_servers"`
}

// Restart asks for an offer with an ICE restart.
type Restart struct{}

// Ended is the last message of a session.
type Ended struct {
	Reason string `json:"reason"`
}

// Error answers a message that could not be carried out, or tells why the session ends.
type Error struct {
	Code     string `json:"code"`
	Detail   string `json:"detail"`
	OpensAt  string `json:"opens_at,omitempty"`  // CodeNotYetOpen, RFC 3339
	ClosedAt string `json:"closed_at,omitempty"` // CodeWindowClosed, RFC 3339
}

// Done answers a message that has no other reply.
type Done struct{}

func (*Joined) serverType() string       { return "joined" }
func (*StateChanged) serverType() string { return "state" }
func (*Roster) serverType() string       { return "roster" }
func (*Answer) serverType() string       { return "answer" }
func (*Slots) serverType() string        { return "slots" }
func (*Layers) serverType() string       { return "layers" }
func (*Audio) serverType() string        { return "audio" }
func (*Speakers) serverType() string     { return "speakers" }
func (*Quality) serverType() string      { return "quality" }
func (*Recording) serverType() string    { return "recording" }
func (*Said) serverType() string         { return "message" }
func (*Resume) serverType() string       { return "resume" }
func (*ICEServers) serverType() string   { return "ice_servers" }
func (*Restart) serverType() string      { return "restart" }
func (*Ended) serverType() string        { return "ended" }
func (*Error) serverType() string        { return "error" }
func (*Done) serverType() string         { return "done" }
