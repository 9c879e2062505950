package scenario

import (
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Scenario is one file, checked. Parse is the only way to make one that Expand can be trusted with.
type Scenario struct {
	Name             string
	Purpose          string
	Seed             uint64
	Ramp, Hold, Stop time.Duration
	Rooms            Rooms
	People           []Group // of every room
	Timeline         []Event // of every room
	Churn            []Churn
	Objectives       []Objective // in the order of the file
	pos              position
}

// Rooms says how many rooms are opened, and when.
type Rooms struct {
	Count   int
	Arrival Arrival
	pos     position
}

// Arrival says how the rooms' openings lie in the ramp.
type Arrival struct {
	Kind  ArrivalKind
	Every time.Duration // of ArriveEvery
	Rate  float64       // of ArriveRandom, a second
}

// ArrivalKind is one way of arriving.
type ArrivalKind int

// The ways in which rooms are opened.
const (
	ArriveAtOnce ArrivalKind = iota // all at the start
	ArriveSpread                    // evenly over the ramp
	ArriveEvery                     // one every so often
	ArriveRandom                    // independently of each other, at a mean rate; drawn from the seed
)

// Group is one person of every room, or several alike.
type Group struct {
	Ref      string
	Role     wire.Role
	Count    int
	Join     time.Duration // after the opening of the room; Never for who comes by timeline or churn
	Apart    time.Duration // between the joins of a group's people
	Lobby    time.Duration // from a join to being admitted; Never leaves them waiting
	Camera   *Video
	Mic      *Audio
	Screen   *Video
	Way      Way        // that media takes
	Up, Down []LinkStep // the first is the link at the start
	Layout   []Tile     // nil sends none
	pos      position
}

// Way is how somebody's media gets to the server.
type Way string

// The ways. Behind a firewall that blocks UDP there are the other three.
const (
	WayUDP     Way = "udp"
	WayTCP     Way = "tcp" // ICE-TCP
	WayTURNTCP Way = "turn-tcp"
	WayTURNTLS Way = "turn-tls"
)

// Never stands for a time that does not come.
const Never time.Duration = -1

// Video is a camera or a screen.
type Video struct {
	FPS      int
	Temporal int     // temporal layers, 1 or 3
	Layers   []Layer // lowest first
	Constant bool    // every frame is five packets of 1000 bytes, whatever the rates
}

// Layer is one encoding of a Video.
type Layer struct {
	RID           string // "" without simulcast
	Width, Height int
	Bitrate       int // bit/s
}

// Audio is a microphone.
type Audio struct {
	Bitrate int     // bit/s while talking
	Talks   float64 // share of the time, 0 to 1
	DTX     bool    // sends next to nothing in silence
}

// Tile is how large a client shows one source.
type Tile struct {
	Of            string // ref of one person
	Track         wire.Source
	Width, Height int
	Pinned        bool
	pos           position
}

// LinkStep is what a link is from an instant on.
type LinkStep struct {
	At   time.Duration // after the opening of the room
	Link link.Shape
}

// Event is one line of the timeline.
type Event struct {
	At       time.Duration // after the opening of the room
	Who      string        // a ref: one person, or all of a group
	Do       Verb
	Apart    time.Duration // between the people of a group
	Whom     string        // of admit, hold, unhold, remove, hand-over: one person
	Track    wire.Source   // of mute, unmute
	Back     time.Duration // of drop: reconnects after this; 0 does not
	Up, Down *link.Shape   // of link; nil leaves a direction alone
	Layout   []Tile        // of layout
	pos      position
}

// Churn lets people come and go at a rate.
type Churn struct {
	Who        string        // ref of a group whose Join is Never
	Rate       float64       // joins a second, over all rooms
	Stay       time.Duration // how long each visit is
	Kill, Drop float64       // shares of the visits, 0 to 1; the others leave
	pos        position
}

// Verb is what a person does.
type Verb string

// The verbs. All but Admit may also be the consequence of something else in the file.
const (
	Join      Verb = "join"
	Admit     Verb = "admit"
	Leave     Verb = "leave"
	Kill      Verb = "kill" // the machine is gone without a word
	Drop      Verb = "drop" // both connections break
	Reconnect Verb = "reconnect"
	Mute      Verb = "mute"
	Unmute    Verb = "unmute"
	Share     Verb = "share"
	Unshare   Verb = "unshare"
	Hold      Verb = "hold"
	Unhold    Verb = "unhold"
	Remove    Verb = "remove"
	HandOver  Verb = "hand-over"
	SetLayout Verb = "layout"
	SetLink   Verb = "link"
	End       Verb = "end" // ends the consultation for everybody
)

// position is where in the file something stands.
type position struct{ line, column int }
