package sim

import (
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Person is one invited participant of a Plan.
type Person struct {
	Ref     string // names the person in the plan and in its report
	Role    wire.Role
	Display string // "" is a canary that must turn up in rosters and nowhere else
	Watch   bool   // a device that is invited to watch
	Media   bench.Media
	Stack   bench.Stack
	Relay   bench.Relay
	Verify  bool // with bench.Lean, as bench.Config.Verify
	Up      Path // the zero value is 5 ms without loss
	Down    Path
	Defects bench.Defects
	// Packet is told of each packet that the person receives; nil tells nobody.
	Packet func(now time.Time, a bench.Arrival)
}

// Plan is one simulated consultation: who is invited and what happens.
type Plan struct {
	Seed            uint64
	MaxParticipants int    // 0 is the server's default
	Profile         string // "" is the server's default
	Recording       string // the policy; "" is a server that records nothing
	FirstEstimate   int    // of each path, in bit/s; 0 is the server's default
	People          []Person
	Steps           []Step
}

// Step is one thing that happens. The concrete types are those of this file, and no others.
type Step interface{ step() }

// Join lets a person enter and waits for the answer to their offer. It tells nothing of the media
// connection: Connected waits for that.
type Join struct{ Ref string }

// Connected waits until a person's media connection is up.
type Connected struct{ Ref string }

// Admit lets Who in, asked by By.
type Admit struct{ By, Who string }

// Refuse sends a waiting person away, Remove takes an admitted one out.
type (
	Refuse struct{ By, Who string }
	Remove struct{ By, Who string }
)

// Hold takes a person out of the conversation, Unhold back into it.
type (
	Hold   struct{ By, Who string }
	Unhold struct{ By, Who string }
)

// Leave says goodbye.
type Leave struct{ Ref string }

// HandOver is a clinician leaving to another.
type HandOver struct{ By, To string }

// Restart stops the server in order and starts it again with what it kept.
type Restart struct{}

// End ends the consultation for everybody.
type End struct{ By string }

// Kill takes a person's machine away without a word: datagrams vanish, the WebSocket falls silent.
type Kill struct{ Ref string }

// Stall makes a person's machine stop reading its WebSocket; media goes on.
type Stall struct{ Ref string }

// Blackhole loses all that a person's machine sends or is sent for so long; TCP delivers it afterwards.
type Blackhole struct {
	Ref string
	For time.Duration
}

// RestartICE restarts a person's ICE over their WebSocket.
type RestartICE struct{ Ref string }

// Drop closes a person's WebSocket and media connection without a message.
type Drop struct{ Ref string }

// Reconnect comes back after Drop, with the resume token.
type Reconnect struct{ Ref string }

// Mute stops or restarts one of a person's tracks.
type Mute struct {
	Ref    string
	Source wire.Source
	Muted  bool
}

// Share starts or stops sharing a person's screen.
type Share struct {
	Ref string
	On  bool
}

// Pass lets virtual time pass.
type Pass struct{ For time.Duration }

// Do runs Func, which may look at everything and fails the run by returning an error.
type Do struct {
	Name string
	Func func(w *World) error
}

// Try runs a step that the server may refuse, as it refuses to admit somebody who has just left.
type Try struct{ Step Step }

// Together runs steps at one instant, each in a goroutine of its own.
type Together struct{ Steps []Step }

func (Refuse) step()     {}
func (Remove) step()     {}
func (Try) step()        {}
func (Together) step()   {}
func (Join) step()       {}
func (Connected) step()  {}
func (Admit) step()      {}
func (Hold) step()       {}
func (Unhold) step()     {}
func (HandOver) step()   {}
func (Restart) step()    {}
func (Leave) step()      {}
func (End) step()        {}
func (Kill) step()       {}
func (Stall) step()      {}
func (Drop) step()       {}
func (Blackhole) step()  {}
func (RestartICE) step() {}
func (Reconnect) step()  {}
func (Mute) step()       {}
func (Share) step()      {}
func (Pass) step()       {}
func (Do) step()         {}

// Event is something that happened to somebody, for comparing runs.
type Event struct {
	At   time.Duration // since the start of the run
	Ref  string
	What string
}

// Subscription is what one person received of another's track.
type Subscription struct {
	Subscriber, Publisher string // refs
	Source                wire.Source
	Packets, Frames       uint64
	First, Last           time.Duration // arrivals, since the start of the run
}

// SlotTraffic is what the server sent into one slot.
type SlotTraffic struct {
	Subscriber string // ref
	Mid        string
	Forwarded  uint64 // RTP packets sent by the server
	Dropped    uint64 // of these, lost on the link
	Delivered  uint64 // received, decrypted
	Resent     uint64 // RTX packets sent by the server
	ResentLost uint64 // of these, lost on the link
}

// Report is the outcome of a run. Two runs of one Plan have equal Reports.
type Report struct {
	Events        []Event
	Subscriptions []Subscription
	Slots         []SlotTraffic
	Violations    []string // of the invariants that every run is checked for
}
