package sfu

import (
	"cmp"
	"slices"
)

// speaking is the smoothed level from which on somebody speaks: -50 dBov, above the noise of a
// quiet room and below a soft voice at a laptop's microphone.
const speaking = 127 - 50

// announceSpeakers tells everybody in the room who speaks, when that has changed.
func (r *Room) announceSpeakers() {
	var levels []Level
	for _, p := range r.peers {
		if !r.present(p) {
			continue
		}
		pubs, _ := p.media()
		for _, pub := range pubs {
			if level := int(pub.loudness.Load()); level >= speaking {
				levels = append(levels, Level{Peer: p.o.ID, Level: level})
			}
		}
	}
	slices.SortStableFunc(levels, func(a, b Level) int { return cmp.Compare(b.Level, a.Level) })
	for _, p := range r.peers {
		if !r.present(p) || slices.EqualFunc(p.speakers, levels, func(a, b Level) bool { return a.Peer == b.Peer }) {
			continue
		}
		p.speakers = levels
		p.o.Events.Speakers(levels)
	}
}
