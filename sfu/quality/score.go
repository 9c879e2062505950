// Package quality says how good the two directions of a participant's connection are, and keeps the
// history of a consultation: counters come in, scores, levels and findings come out. It is pure: no
// goroutine, clock, lock or socket.
//
// The server stands between any two people, so each loss has one place: packets that a publisher sent
// and the server did not get were lost on that person's uplink; packets that the server sent and a
// receiver reports as missing were lost on that person's downlink. Neither is counted for anybody else.
package quality

import (
	"math"
	"time"
)

// What the E-model is fed with beside the network. Opus has no standardised impairment factors: its
// concealment is taken to be as good as that of G.711 with packet loss concealment (ITU-T G.113
// appendix I: Ie 0, Bpl 25.1), so that the score compares connections and is no listening test.
const (
	bestR       = 93.2 // ITU-T G.107 with all its defaults
	opusIe      = 0.0
	opusBpl     = 25.1
	besidesLine = 45 * time.Millisecond // 20 ms frame, 6.5 ms lookahead, the rest devices and play-out
)

// rating is the E-model's R (ITU-T G.107, simplified) of speech of which the share loss is missing and
// which the network delays by delay, one way and its jitter covered:
//
//	R   = 93.2 - Id - Ie,eff
//	Id  = 0.024 Ta + 0.11 max(0, Ta - 177.3)    Ta in ms: delay + 45
//	Ie,eff = Ie + (95 - Ie) Ppl / (Ppl + Bpl)   Ppl in percent
func rating(loss float64, delay time.Duration) float64 {
	ta := (max(delay, 0) + besidesLine).Seconds() * 1000
	id := 0.024*ta + 0.11*max(0, ta-177.3)
	percent := 100 * min(max(loss, 0), 1)
	return bestR - id - opusIe - (95-opusIe)*percent/(percent+opusBpl)
}

// Score is the E-model's mean opinion score of speech, 1 to 4.5, of the rating R above:
//
//	MOS = 1 + 0.035 R + 7e-6 R (R - 60) (100 - R), at least 1
func Score(loss float64, delay time.Duration) float64 {
	r := rating(loss, delay)
	if r <= 0 {
		return 1
	}
	return max(1, math.Round(1000*(1+0.035*r+7e-6*r*(r-60)*(100-r)))/1000)
}
