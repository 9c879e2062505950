package load

import (
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/result"
)

// traffic returns what the person has sent and received so far, and whether they have a media connection.
func (p *person) traffic() (bench.Traffic, bool) {
	var sum bench.Traffic
	for _, g := range p.guests() {
		if counting, ok := g.(interface{ Traffic() bench.Traffic }); ok {
			sum.Add(counting.Traffic())
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return sum, p.connected
}

// mark begins the hold and returns the traffic up to it.
func (p *person) mark() bench.Traffic {
	for _, g := range p.guests() {
		if marking, ok := g.(interface{ Mark() }); ok {
			marking.Mark()
		}
	}
	sum, _ := p.traffic()
	return sum
}

// failures counts the joins that failed and the actions that were refused.
func (p *person) failures() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.ledger.refused)
	for _, a := range p.ledger.attempts {
		if a.err != nil {
			n++
		}
	}
	return n
}

// links returns the links as they are now.
func (p *person) links() (up, down link.Shape) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up, p.down
}

// account is what the person did. An attempt that the end of the run has cut off is none.
func (p *person) account(start time.Time) result.Person {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := result.Person{Refused: p.ledger.refused}
	for _, a := range p.ledger.attempts {
		if a.over {
			out.Joins = append(out.Joins, a.result(start))
		}
	}
	return out
}

// reports are those of all machines that the person had.
func (p *person) reports() []bench.Report {
	var out []bench.Report
	for _, g := range p.guests() {
		out = append(out, g.Report())
	}
	return out
}
