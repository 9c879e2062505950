package redundancy

import "time"

const (
	// unmeasuredSpare is what repeating takes at most without a budget.
	unmeasuredSpare = 16_000
	// credit that gathers: the packets of a burst.
	mostCredit = 800 // bytes
)

// Allowance is what may be spent on sending audio again, of what a path has to spare beside the audio:
// what is asked for again has mostly come in a later packet already, and must not hold up what is new.
// The zero value allows nothing.
type Allowance struct {
	rate   float64 // bytes a second
	credit float64 // bytes; below 0: spent in advance
	at     time.Time
}

// Spare is what a budget in bit/s leaves beside the traffic with a depth of redundancy.
func (t Traffic) Spare(budget, depth int) int {
	if budget == 0 {
		return unmeasuredSpare
	}
	return max(0, budget-t.Bits(depth))
}

// Set changes the rate, in bit/s.
func (a *Allowance) Set(now time.Time, rate int) {
	a.gather(now)
	a.rate = float64(rate) / 8
}

// Left tells whether anything may be spent.
func (a *Allowance) Left(now time.Time) bool {
	a.gather(now)
	return a.credit > 0
}

// Spend takes so many bytes off. Debts are bounded as credit is: what had to be sent is not paid for minutes.
func (a *Allowance) Spend(bytes int) { a.credit = max(a.credit-float64(bytes), -mostCredit) }

func (a *Allowance) gather(now time.Time) {
	if d := now.Sub(a.at); !a.at.IsZero() && d > 0 {
		a.credit = min(a.credit+a.rate*d.Seconds(), mostCredit)
	}
	a.at = now
}
