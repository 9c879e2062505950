package redundancy

import "time"

const (
	// frame is what browsers put into a packet.
	frame = 20 * time.Millisecond
	// MostFrames is how many frames a packet has at most. A fourth would save as much again as 2 kbit/s, for another
	// 20 ms.
	MostFrames = 3
	// LoneFrames is how many where there is nothing but one voice on a path that loses. Of 60 kbit/s it takes 36 then with
	// a copy, and 32 with three frames: a lost one comes 48 ms later for that (bench/sim, Q4: MOS 2.5 and 2.9).
	LoneFrames = 2
	// headerShare of a budget may be headers of voices. A voice has 50 packets a second with 26 kbit/s of headers,
	// more than what is said; an eighth of 400 kbit/s is what two have, and half of it what a camera of 640x360 takes
	// for the next better rate of frames. In the E-model 20 ms more cost 0.5 of 93 where the way is shorter than 180 ms,
	// 2.6 where it is longer, and 2 % lost, which is a queue that overflows, 7.
	headerShare = 1.0 / 8
	// thirdShare is what they may be with two frames in a packet, or there are three: a hole of 60 ms is heard as one.
	thirdShare = 1.0 / 6
	// together is how many voices are counted at most: of more, most are silent.
	together = 2
	// dip is how long two frames have to be too few: a path of 100 kbit/s looks like one of 70 for a second or two.
	dip = 4 * time.Second
	// ample is how much more room than needed there must be for shorter packets.
	ample = 1.25
)

// Joining decides how many frames of 20 ms one subscriber's packets have. Longer packets come soon, shorter ones
// when there has been room for a while: after a queue, twice as long the next time. The zero value says one.
type Joining struct {
	more  int       // frames beside the first
	short time.Time // since when they are too few; zero: they are not
	again time.Time
	wait  time.Duration
}

// Decide takes how many voices there are, the most frames that a packet may have, and the budget in bit/s, 0 for unknown.
// That of an idle path says nothing: it is what was used so far. Alone are voices where nothing else is wanted, for which the path is probed: then
// shorter packets are tried.
func (j *Joining) Decide(now time.Time, voices, most, budget int, path Path, alone bool) (frames int) {
	j.more = min(j.more, most-1)
	headers := float64(8 * Overhead * min(voices, together) * int(time.Second/frame))
	fits := func(more int, margin float64) bool {
		share := headerShare
		if more > 0 {
			share = thirdShare
		}
		return budget == 0 || headers/float64(1+more)*margin <= share*float64(budget)
	}
	if path == Idle || fits(j.more, 1) {
		j.short = time.Time{}
	} else if j.short.IsZero() {
		j.short = now
	}
	short := !j.short.IsZero() && (j.more == 0 || now.Sub(j.short) >= dip)
	switch {
	case short && j.more < most-1:
		j.more++
		j.short = now
		if j.again.IsZero() || now.Sub(j.again) > 2*mostPatient {
			j.wait = patient // what is idle may be wide: that is tried more seldom than a better rate
		}
		j.wait = min(2*j.wait, mostPatient)
		j.again = now.Add(j.wait)
	case j.more > 0 && !now.Before(j.again) && (alone && path == Idle || fits(j.more-1, ample)):
		j.more--
		j.again = now.Add(patient)
	}
	return 1 + j.more
}
