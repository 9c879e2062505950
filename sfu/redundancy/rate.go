package redundancy

import "time"

const (
	steps = 3
	// usual is what a voice is taken to be that was asked for nothing: that of bedside.js.
	usual = 24_000
	// worth is the depth that a lower rate is worth: a voice of 12 kbit/s that comes is understood better
	// than one of 24 with holes.
	worth = 2
	// more is how much more than a better rate takes there must be.
	more = 1.1
	// A better rate is tried after patient; when it was too much, after twice as long the next time.
	patient     = 15 * time.Second
	mostPatient = 4 * time.Minute
)

// rate of a voice in bit/s that is asked for at a step; 0 is as the publisher likes.
func rate(step int) int { return [steps]int{0, 16_000, 12_000}[step] }

// WithCopies is the bitrate to be asked of a voice that is to carry so many copies where asked is asked for
// without, 0 for nothing: two copies of 16 kbit/s take as much as the one of 24 that browsers carry by
// themselves. So a path that loses because it is full is not given more.
func WithCopies(copies, asked int) int {
	if most := rate(1); copies > 1 && (asked == 0 || asked > most) {
		return most
	}
	return asked
}

// Rate decides which bitrate one subscriber's path asks of the voices that it is sent: the highest with
// which they fit, with the copies that its losses call for. It goes down at once. The zero value asks for
// nothing.
type Rate struct {
	step  int
	again time.Time // not before is a better one tried
	wait  time.Duration
}

// Voices is what a subscriber is sent of voices in a second.
type Voices struct {
	Packets int
	Sound   time.Duration // what the packets last
	Others  int           // bit/s of audio that is no voice, and has a rate of its own
}

// Joined is what they take with packets of so many frames.
func (v Voices) Joined(frames int) Voices {
	v.Packets = min(v.Packets, joined(v.Sound, frames))
	return v
}

// Beside is what of a budget in bit/s is for voices: not all of it where there are pictures. Behind 180 kbit/s with
// 5 % lost two of 24 kbit/s, each with a copy, leave room for a slide show.
func Beside(pictures bool, budget int) int {
	if pictures {
		return budget * 6 / 10
	}
	return budget
}

// Decide takes what there is for voices in bit/s, 0 for unknown, and the depth of redundancy that the losses call for.
// The budget of an idle path is what is sent, and says nothing of what it has room for. It returns the bitrate to be asked for, 0 for none.
func (r *Rate) Decide(now time.Time, v Voices, budget int, path Path, depth int) int {
	fits := func(step int, margin float64) bool {
		return budget == 0 || path == Idle || v.bits(step, depth)*margin <= float64(budget)
	}
	switch {
	case !fits(r.step, 1) && r.step < steps-1:
		for r.step++; r.step < steps-1 && !fits(r.step, 1); r.step++ {
		}
		if r.again.IsZero() || now.Sub(r.again) > 2*mostPatient {
			r.wait = patient / 2
		}
		r.wait = min(2*r.wait, mostPatient)
		r.again = now.Add(r.wait)
	case r.step > 0 && !now.Before(r.again) && fits(r.step-1, more):
		r.step--
		r.again = now.Add(patient)
	}
	return rate(r.step)
}

// Least tells whether less is not asked for.
func (r *Rate) Least() bool { return r.step == steps-1 }

// bits that the voices take with a step.
func (v Voices) bits(step, depth int) float64 {
	depth = min(depth, worth)
	bitrate := rate(step)
	if step == 0 {
		bitrate = usual
	}
	t := Traffic{Packets: v.Packets, Bytes: int(float64(bitrate) / 8 * v.Sound.Seconds())}
	return float64(t.Bits(depth) + v.Others)
}
