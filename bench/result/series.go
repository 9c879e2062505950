package result

import (
	"math"
)

// charted is how many people's rates are kept: those of whom there are samples, in the order of the
// plan.
const charted = 64

// series turns samples into columns.
func series(in Inputs) Series {
	out := Series{From: in.Plan.From.Seconds(), To: in.Plan.To.Seconds(), At: Column{}}
	column := func(of func(Sample) float64) Column { return columnOf(in.Samples, of) }
	for _, s := range in.Samples {
		out.At = append(out.At, s.At.Seconds())
	}
	out.People = column(func(s Sample) float64 { return s.People })
	out.SentBits = column(func(s Sample) float64 { return s.SentBits })
	out.GotBits = column(func(s Sample) float64 { return s.GotBits })
	out.SentPackets = column(func(s Sample) float64 { return s.SentPackets })
	out.GotPackets = column(func(s Sample) float64 { return s.GotPackets })
	out.Lost = column(func(s Sample) float64 { return s.Lost })
	out.DelayP99 = column(func(s Sample) float64 { return s.DelayP99 })
	out.ServerCPU = column(func(s Sample) float64 { return s.ServerCPU })
	out.ServerRSS = column(func(s Sample) float64 { return s.ServerRSS })
	out.Goroutines = column(func(s Sample) float64 { return s.Goroutines })
	out.OwnCPU = column(func(s Sample) float64 { return s.OwnCPU })
	out.LateP99 = column(func(s Sample) float64 { return s.LateP99 })
	return out
}

// columnOf is one figure of all rows; nil where it is never known.
func columnOf[T any](rows []T, of func(T) float64) Column {
	out := make(Column, 0, len(rows))
	known := false
	for _, row := range rows {
		v := of(row)
		known = known || !math.IsNaN(v) && !math.IsInf(v, 0)
		out = append(out, v)
	}
	if !known {
		return nil
	}
	return out
}

// participants are the people of a run.
func participants(in Inputs) []Participant {
	out := make([]Participant, 0, len(in.Plan.People))
	drawn := 0
	for i, one := range in.Plan.People {
		got := in.People[i]
		p := Participant{
			Room: one.Room, Ref: one.Ref, Role: in.Scenario.People[one.Group].Role,
			Joins: append([]Join{}, got.Joins...), Refused: got.Refused, Sent: got.Sent, Got: got.Got,
		}
		if len(got.Samples) > 0 && drawn < charted {
			drawn++
			p.Series = rates(got.Samples, len(in.Samples))
		}
		out = append(out, p)
	}
	return out
}

// rates turns a person's points into columns of n rows.
func rates(points []PersonPoint, n int) *Rates {
	points = points[:min(n, len(points))]
	for len(points) < n {
		points = append(points, PersonPoint{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()})
	}
	return &Rates{
		Sent:  columnOf(points, func(p PersonPoint) float64 { return p.Sent }),
		Got:   columnOf(points, func(p PersonPoint) float64 { return p.Got }),
		Up:    columnOf(points, func(p PersonPoint) float64 { return p.Up }),
		Down:  columnOf(points, func(p PersonPoint) float64 { return p.Down }),
		Layer: columnOf(points, func(p PersonPoint) float64 { return p.WatchLayer }),
	}
}
