package result

import (
	"math"
	"time"
)

// What the E-model is fed with beside the network. Opus has no standardised impairment factors: its
// concealment is taken to be as good as that of G.711 with packet loss concealment (ITU-T G.113
// appendix I: Ie 0, Bpl 25.1), so that the score is relative, not a listening test.
const (
	bestR       = 93.2 // ITU-T G.107 with all its defaults
	opusIe      = 0.0
	opusBpl     = 25.1
	besidesLine = 45 * time.Millisecond // 20 ms frame, 6.5 ms lookahead, the rest devices and play-out
)

// Score is the E-model's mean opinion score of one direction of speech, 1 to 4.5 (ITU-T G.107,
// simplified): loss is what was missing after repair, 0 to 1; delay is what the jitter buffer covers of
// the network's, one way.
//
//	R   = 93.2 - Id - Ie,eff
//	Id  = 0.024 Ta + 0.11 max(0, Ta - 177.3)    Ta in ms: delay + 45
//	Ie,eff = Ie + (95 - Ie) Ppl / (Ppl + Bpl)   Ppl in percent
//	MOS = 1 + 0.035 R + 7e-6 R (R - 60) (100 - R), at least 1
func Score(loss float64, delay time.Duration) float64 {
	ta := (delay + besidesLine).Seconds() * 1000
	id := 0.024*ta + 0.11*max(0, ta-177.3)
	percent := 100 * loss
	r := bestR - id - opusIe - (95-opusIe)*percent/(percent+opusBpl)
	if r <= 0 {
		return 1
	}
	return max(1, math.Round(1000*(1+0.035*r+7e-6*r*(r-60)*(100-r)))/1000)
}
