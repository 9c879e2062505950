package result

import (
	"time"

	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Inputs is all that a run knows of itself. Figures of people, server and generator are those of the
// hold, except where a field says otherwise.
type Inputs struct {
	Scenario    scenario.Scenario
	Plan        scenario.Plan // of Scenario
	Run         Run
	People      []Person // in the order of Plan.People; those missing at the end did nothing
	Samples     []Sample // by time
	Server      Server
	Generator   Generator
	Interrupted bool     // ended before the plan did
	Violations  []string // broken promises, whenever seen; beside those in Received.Wrong
}

// Run says how and where a run was made.
type Run struct {
	Started time.Time `json:"started"`
	Version string    `json:"version"` // of bedside-bench
	Command []string  `json:"command"` // without secrets
	Target  Target    `json:"target"`
	Machine Machine   `json:"machine"` // the generator's
}

// Target is what was measured.
type Target struct {
	Kind    string `json:"kind"` // such as bedside, whip
	URL     string `json:"url"`
	Version string `json:"version"`
}

// Machine is where the generator ran.
type Machine struct {
	OS     string `json:"os"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"` // model
	CPUs   int    `json:"cpus"`
	Go     string `json:"go"`
}

// Person is what one person of the plan did and saw.
type Person struct {
	Joins    []Join        // of the whole run, reconnects too
	Refused  []string      // of the whole run: other actions that the server refused, such as "admit: forbidden"
	Received []Received    // one for each track that was assigned or came
	Samples  []PersonPoint // as Inputs.Samples; nil where nobody asked for them
	// Rates are those of the hold, in bytes of media.
	Sent, Got uint64
}

// Join is one attempt to come in.
type Join struct {
	At        Duration `json:"at"` // since the start of the run
	Reconnect bool     `json:"reconnect,omitempty"`
	Took      Duration `json:"took"`            // from the call to the media connection
	Phases    []Phase  `json:"phases"`          // in their order; also what comes after the connection
	Error     string   `json:"error,omitempty"` // a code, why it did not come to a media connection
}

// Phase is one part of a join.
type Phase struct {
	Name string   `json:"name"`
	Took Duration `json:"took"` // since the end of the phase before
}

// Received is what one person received of one track of another. Video frames are counted when they can
// be decoded: whole, and with all that they refer to.
type Received struct {
	Of         string // ref of who sent it
	Source     wire.Source
	Packets    uint64 // each once
	Bytes      uint64 // of their payloads
	Lost       uint64 // never came
	Repaired   uint64 // came as a retransmission after a hole
	Wrong      uint64 // came in a slot that was somebody else's
	Delay      *hist.Histogram
	Watched    time.Duration // how long a slot held the track, unmuted
	LongestGap time.Duration // between frames or audio packets, while it did
	Frames     uint64
	Freezes    uint64
	Frozen     time.Duration
	Switches   uint64   // of the layer, from frame to frame
	Layers     []uint64 // frames by layer, lowest first
}

// Sample is the state of things at one instant. What is not known is NaN.
type Sample struct {
	At          time.Duration // since the start of the run
	People      float64       // with a media connection
	SentBits    float64       // media a second, all people
	GotBits     float64
	SentPackets float64 // a second
	GotPackets  float64
	Lost        float64 // packets a second, after repair
	DelayP99    float64 // seconds
	ServerCPU   float64 // cores
	ServerRSS   float64 // bytes
	Goroutines  float64 // of the server
	OwnCPU      float64 // cores
	LateP99     float64 // seconds that sending was behind its time
}

// PersonPoint is one person's state at one instant. What is not known is NaN.
type PersonPoint struct {
	Sent, Got  float64 // bit/s of media
	Up, Down   float64 // bit/s that the links carry; NaN for unlimited
	WatchLayer float64 // of the first pinned video, else of the first: 0 is the lowest, NaN none
}

// Server is what the server cost.
type Server struct {
	Source     string   `json:"source"`              // where it is from: metrics, proc; "" for not known
	CPU        Duration `json:"cpu"`                 // processor time
	Forwarded  uint64   `json:"forwarded"`           // packets; 0 where it does not say, and those received count
	RSSBefore  uint64   `json:"rss_before"`          // bytes, before the first join
	RSSEnd     uint64   `json:"rss_end"`             // at the end of the hold
	RSSPeak    uint64   `json:"rss_peak"`            // highest
	Goroutines int      `json:"goroutines"`          // at the end of the hold
	CPUPacket  Duration `json:"cpu_per_packet"`      // Build fills it in
	RSSPerson  uint64   `json:"rss_per_participant"` // (RSSEnd - RSSBefore) by those connected; Build fills it in
	Connected  int      `json:"participants_at_end"` // at the end of the hold
	Recorded   uint64   `json:"recorded,omitempty"`  // bytes that it wrote of recordings, sealed
}

// Generator is how the generator itself did. A run whose generator was the limit proves nothing.
type Generator struct {
	CPUShare float64  `json:"cpu_share"` // of its budget
	Cores    float64  `json:"cores"`     // the budget
	LateP50  Duration `json:"late_p50"`  // how far behind its time sending was
	LateP99  Duration `json:"late_p99"`
	LateMax  Duration `json:"late_max"`
	Actions  uint64   `json:"late_actions"` // actions that came more than 100 ms late
	Sent     uint64   `json:"sent"`         // packets
	Got      uint64   `json:"received"`
	Invalid  []string `json:"invalid"` // why the run is invalid, if it is
}
