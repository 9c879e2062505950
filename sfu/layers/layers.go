// Package layers decides which of a publication's encodings, and how much of it, a subscriber gets.
//
// Encoding measures what a publisher sends, Allocator divides what one participant's network takes
// among everything that they are shown, and Selector carries the decision out packet by packet. It is
// pure: no goroutine, clock, lock or socket, and the same calls give the same decisions every time.
package layers

// Temporals is how many temporal layers are told apart: browsers send VP8 simulcast with three
// (libwebrtc, kDefaultTemporalLayers), the frame rate doubling with each.
const Temporals = 3

// Parts is into how many parts the highest temporal layer is divided: who has no room for all of it gets some.
// Of 30 frames a second, 15 of them in the highest layer, that makes steps of 3.75.
const Parts = 4

// Profile is what a room prefers when bandwidth is short.
type Profile uint8

// The profiles.
const (
	General Profile = iota
	Motion          // keep the frame rate, give up resolution: sign language, gait
	Detail          // keep the resolution, give up frame rate: skin, scans
)

// ProfileOf returns the profile of a name as the API has them; General for any other.
func ProfileOf(name string) Profile {
	switch name {
	case "motion":
		return Motion
	case "detail":
		return Detail
	}
	return General
}

// Mode is how much of an encoding is forwarded.
type Mode uint8

// The modes.
const (
	Frames    Mode = iota // every frame up to a temporal layer
	KeyFrames             // nothing but key frames, one in KeyFrameInterval: a slide show, never black
	Nothing               // the network takes audio alone
)

func (m Mode) String() string { return [...]string{"frames", "key_frames", "nothing"}[m] }

// Reason says why a grant is what it is. It is fit for a log line and a metric label.
type Reason string

// The reasons.
const (
	ReasonHighest   Reason = "highest"    // there is nothing more
	ReasonSize      Reason = "size"       // more would not be seen: it is shown too small
	ReasonPublisher Reason = "publisher"  // more is not being sent (yet)
	ReasonBudget    Reason = "budget"     // more does not fit
	ReasonHeld      Reason = "held"       // more fits, but not for long enough yet
	ReasonKeyFrames Reason = "key_frames" // not even the lowest layer fits
	ReasonAudioOnly Reason = "audio_only" // not even key frames fit beside the audio
	ReasonStart     Reason = "start"      // not decided yet: what came first
)

// Grant is the decision for one subscription.
type Grant struct {
	Encoding int   // its index in the publication; -1: nothing is known of any
	Temporal uint8 // the highest temporal layer
	Skip     uint8 // how many of the Parts of that one are left out: less than all
	Mode     Mode
	// Next is the highest encoding that would be taken if it were sent, as would be all between; -1 for none.
	Next   int
	Rate   int // bit/s that it is expected to take
	Reason Reason
}

// none is the grant for a publication of which nothing has come.
func none() Grant { return Grant{Encoding: -1, Next: -1, Reason: ReasonPublisher} }
