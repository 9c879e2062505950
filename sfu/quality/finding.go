package quality

import "time"

// Direction is one of the two ways of a participant's connection.
type Direction string

// The directions, as seen by the participant.
const (
	Uplink   Direction = "uplink"   // from the participant to the server
	Downlink Direction = "downlink" // from the server to the participant
)

// Finding names one direction of one participant's connection that was bad for a while.
type Finding struct {
	Participant string
	Direction   Direction
	From, To    time.Time
	Level       Level // the worst
	Link        Link  // of the whole time
	RoundTrip   time.Duration
}

// gap is how many slices without a bad one end a finding: a connection that is bad every other ten
// seconds is one bad connection.
const gap = 2

// Findings names what was bad, person by person in the order of tracks, uplinks first. A slice counts
// when its rating is below good, or not clearly above after one that was.
func (t *Timeline) Findings() []Finding {
	var all []Finding
	for _, track := range t.Tracks {
		for _, d := range []Direction{Uplink, Downlink} {
			all = append(all, t.findings(track, d)...)
		}
	}
	return all
}

func (t *Timeline) findings(track Track, d Direction) []Finding {
	var all []Finding
	was, last := Unknown, 0
	for _, s := range track.Slices {
		link := s.Up
		if d == Downlink {
			link = s.Down
		}
		if link.Packets < enough {
			continue
		}
		was = levelOf(link.rating(s.RoundTrip), was)
		if was == Good {
			continue
		}
		from, to := t.Start.Add(time.Duration(s.At)*t.Width), t.Start.Add(time.Duration(s.At+1)*t.Width)
		if len(all) == 0 || s.At-last > gap {
			all = append(all, Finding{Participant: track.Participant, Direction: d, From: from})
		}
		f := &all[len(all)-1]
		f.To, f.Level, f.RoundTrip = to, max(f.Level, was), max(f.RoundTrip, s.RoundTrip)
		f.Link.add(link)
		last = s.At
	}
	return all
}
