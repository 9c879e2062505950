package result

import (
	"github.com/bedside-video/bedside/signaling/wire"
)

// Schema names the form of the document. It changes when a field changes its meaning or goes away, not
// when one is added.
const Schema = "bedside-bench/1"

// Result is the document.
type Result struct {
	Schema        string             `json:"schema"`
	Verdict       Verdict            `json:"verdict"`
	Reasons       []string           `json:"reasons"` // why it is not a pass
	Interrupted   bool               `json:"interrupted,omitempty"`
	Scenario      Scenario           `json:"scenario"`
	Run           Run                `json:"run"`
	Objectives    []Objective        `json:"objectives"`   // in the order of the scenario
	Measurements  map[string]float64 `json:"measurements"` // seconds, shares of 1, numbers, by scenario's names
	Delay         Distribution       `json:"delay"`
	Joins         Joins              `json:"joins"`
	Traffic       Traffic            `json:"traffic"`
	Server        Server             `json:"server"`
	Generator     Generator          `json:"generator"`
	Series        Series             `json:"series"`
	Participants  []Participant      `json:"participants"`
	Subscriptions []Subscription     `json:"subscriptions"`     // the worst first
	Omitted       int                `json:"omitted,omitempty"` // subscriptions that are not listed
	Violations    []string           `json:"violations"`
}

// Verdict is what became of a run.
type Verdict string

// The verdicts.
const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"    // an objective was missed or not measured, or a promise broken
	Invalid Verdict = "invalid" // the generator could not keep up: nothing is proven
)

// Scenario is what was played.
type Scenario struct {
	Name         string   `json:"name"`
	Purpose      string   `json:"purpose"`
	Hash         string   `json:"hash"` // of all that the scenario says; equal for equal load
	Seed         uint64   `json:"seed"`
	Ramp         Duration `json:"ramp"`
	Hold         Duration `json:"hold"`
	Stop         Duration `json:"stop"`
	Rooms        int      `json:"rooms"`
	Participants int      `json:"participants"`
}

// Objective is one bound and what became of it.
type Objective struct {
	Name    string   `json:"name"`
	Limit   float64  `json:"limit"`
	Value   *float64 `json:"value"`   // nil for not measured
	Outcome string   `json:"outcome"` // met, missed, not measured
	Text    string   `json:"text"`
}

// Distribution is that of durations.
type Distribution struct {
	Count uint64       `json:"count"`
	Min   Duration     `json:"min"`
	Mean  Duration     `json:"mean"`
	P50   Duration     `json:"p50"`
	P90   Duration     `json:"p90"`
	P95   Duration     `json:"p95"`
	P99   Duration     `json:"p99"`
	P999  Duration     `json:"p999"`
	Max   Duration     `json:"max"`
	Curve [][2]float64 `json:"curve,omitempty"` // share, seconds; denser towards 1
}

// Joins is how people came in, over the whole run.
type Joins struct {
	Attempts int          `json:"attempts"`
	Failed   int          `json:"failed"`
	Took     Distribution `json:"took"`
	Phases   []JoinPhase  `json:"phases"`  // in their order
	Errors   []Count      `json:"errors"`  // the most frequent first
	Refused  []Count      `json:"refused"` // other actions, likewise
}

// JoinPhase is one phase, over all joins.
type JoinPhase struct {
	Name string       `json:"name"`
	Took Distribution `json:"took"`
}

// Count is how often something happened.
type Count struct {
	What  string `json:"what"`
	Times int    `json:"times"`
}

// Traffic is all that people received in the hold.
type Traffic struct {
	Packets  uint64  `json:"packets"`
	Bytes    uint64  `json:"bytes"`
	Lost     uint64  `json:"lost"`
	Repaired uint64  `json:"repaired"`
	Rate     float64 `json:"packets_per_second"`
}

// Series are figures by time, all of one length. A figure that is never known is left out.
type Series struct {
	At          Column  `json:"at"`        // seconds since the start of the run
	From        float64 `json:"hold_from"` // seconds
	To          float64 `json:"hold_to"`
	People      Column  `json:"people,omitempty"`
	SentBits    Column  `json:"sent_bits,omitempty"`
	GotBits     Column  `json:"received_bits,omitempty"`
	SentPackets Column  `json:"sent_packets,omitempty"`
	GotPackets  Column  `json:"received_packets,omitempty"`
	Lost        Column  `json:"lost,omitempty"`
	DelayP99    Column  `json:"delay_p99,omitempty"`
	ServerCPU   Column  `json:"server_cpu,omitempty"`
	ServerRSS   Column  `json:"server_rss,omitempty"`
	Goroutines  Column  `json:"goroutines,omitempty"`
	OwnCPU      Column  `json:"own_cpu,omitempty"`
	LateP99     Column  `json:"late_p99,omitempty"`
}

// Participant is one person of the plan.
type Participant struct {
	Room    int       `json:"room"`
	Ref     string    `json:"ref"`
	Role    wire.Role `json:"role"`
	Joins   []Join    `json:"joins"`
	Refused []string  `json:"refused,omitempty"`
	Sent    uint64    `json:"sent_bytes"` // in the hold
	Got     uint64    `json:"received_bytes"`
	Series  *Rates    `json:"series,omitempty"`
}

// Rates are one person's by time, as long as Series.At.
type Rates struct {
	Sent  Column `json:"sent,omitempty"` // bit/s
	Got   Column `json:"received,omitempty"`
	Up    Column `json:"up,omitempty"` // what the links carry
	Down  Column `json:"down,omitempty"`
	Layer Column `json:"layer,omitempty"`
}

// Subscription is one track as one person received it in the hold.
type Subscription struct {
	Room       int           `json:"room"`
	By         string        `json:"by"` // refs
	Of         string        `json:"of"`
	Source     wire.Source   `json:"source"`
	Pinned     bool          `json:"pinned,omitempty"`
	Packets    uint64        `json:"packets"`
	Bytes      uint64        `json:"bytes"`
	Lost       uint64        `json:"lost"`
	Repaired   uint64        `json:"repaired"`
	Delay      Distribution  `json:"delay"`
	Watched    Duration      `json:"watched"`
	LongestGap Duration      `json:"longest_gap"`
	Video      *VideoFigures `json:"video,omitempty"`
	Score      float64       `json:"mos,omitempty"` // of audio
}

// VideoFigures are those of a subscription to video.
type VideoFigures struct {
	Frames   uint64   `json:"frames"`
	FPS      float64  `json:"fps"`
	Freezes  uint64   `json:"freezes"`
	Frozen   Duration `json:"frozen"`
	Switches uint64   `json:"switches"`
	Layers   []uint64 `json:"layers"`
	Height   int      `json:"height,omitempty"` // of the smallest layer seen
}
