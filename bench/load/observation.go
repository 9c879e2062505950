package load

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
)

const (
	sampleInterval = time.Second
	// watchedPeople is how many people have their own rates and layers in the samples; more would make
	// the document large, and nobody looks at them one by one.
	watchedPeople = 24
)

// observation is what a run notes of itself. Only the goroutine of follow uses it; the metronome has
// its own.
type observation struct {
	run   *run
	start time.Time
	beat  *metronome

	before, from, to instant
	last             instant
	lastPeople       []bench.Traffic // as last, of those watched
	samples          []result.Sample
	points           [][]result.PersonPoint
	late             hist.Histogram // of the hold
	lost             uint64         // packets of the hold
	rssPeak          uint64
	marked, done     bool // the hold has begun, is over
	received         [][]result.Received
	reports          [][]bench.Report
	sent, got        []uint64 // bytes of the hold, by person
	silent           int      // looks at the server that came to nothing
}

// instant is the state of things at one instant.
type instant struct {
	at      time.Time
	cpu     time.Duration // own
	server  serverState
	known   bool // the server has answered
	traffic bench.Traffic
	people  int
}

func newObservation(r *run, start time.Time) *observation {
	return &observation{
		run: r, start: start, beat: &metronome{clock: r.clock},
		lastPeople: make([]bench.Traffic, len(r.people)), points: make([][]result.PersonPoint, min(len(r.people), watchedPeople)),
	}
}

// begin looks at the server before anybody comes. A metrics address that does not answer is an error
// here, and only here.
func (o *observation) begin(ctx context.Context) error {
	if o.run.server.source() != "" {
		if _, err := o.run.server.look(ctx); err != nil {
			return err
		}
	}
	o.before = o.look(ctx)
	o.last = o.before
	return nil
}

// holdEnd is when the accounts of the hold are closed: just before the first room is.
func holdEnd(p scenario.Plan) time.Duration { return max(p.From, p.To-10*time.Millisecond) }

// instants are the times at which a run looks: where the hold begins and ends, and each second that is not
// too near to these for a rate.
func instants(p scenario.Plan) []time.Duration {
	marks := []time.Duration{p.From, holdEnd(p), p.End}
	out := slices.Clone(marks)
	for at := time.Duration(0); at < p.End; at += sampleInterval {
		if !slices.ContainsFunc(marks, func(m time.Duration) bool { return (at - m).Abs() < sampleInterval/10 }) {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// follow takes samples until the plan is over or ctx ends. It marks the hold.
func (o *observation) follow(ctx context.Context) {
	plan := o.run.plan
	for _, at := range instants(plan) {
		if !o.run.wait(ctx, o.start.Add(at)) {
			break
		}
		now := o.look(ctx)
		o.sample(now)
		switch {
		case at >= plan.From && !o.marked:
			o.mark(now)
		case at >= holdEnd(plan) && !o.done:
			o.finish(now)
		}
		o.tell(at)
	}
	if !o.marked {
		o.mark(o.look(context.WithoutCancel(ctx)))
	}
	if !o.done { // interrupted: what there is
		o.finish(o.look(context.WithoutCancel(ctx)))
	}
}

// mark begins the hold: what was counted before is forgotten.
func (o *observation) mark(now instant) {
	o.marked, o.from = true, now
	o.late, o.lost = hist.Histogram{}, 0
	o.sent, o.got = make([]uint64, len(o.run.people)), make([]uint64, len(o.run.people))
	for i, p := range o.run.people {
		t := p.mark()
		o.sent[i], o.got[i] = t.SentBytes, t.ReceivedBytes
	}
}

// finish ends the hold.
func (o *observation) finish(now instant) {
	o.done, o.to = true, now
	o.late.Merge(o.lateness())
	for i, p := range o.run.people {
		t, _ := p.traffic()
		reports := p.reports()
		o.reports = append(o.reports, reports)
		o.received = append(o.received, bench.Receptions(o.run.refs[p.room], reports...))
		o.sent[i], o.got[i] = t.SentBytes-o.sent[i], t.ReceivedBytes-o.got[i]
	}
}

// look takes the state of things now.
func (o *observation) look(ctx context.Context) instant {
	now := instant{at: o.run.clock.Now()}
	now.cpu, _ = ownCPU()
	if o.run.server.source() != "" {
		state, err := o.run.server.look(ctx)
		if now.known = err == nil; now.known {
			now.server = state
			o.rssPeak = max(o.rssPeak, state.rss)
		} else if o.silent++; o.silent == 1 {
			o.run.cfg.Log.Warn("the server says nothing of itself", "error", err)
		}
	}
	for _, p := range o.run.people {
		t, in := p.traffic()
		now.traffic.Add(t)
		if in {
			now.people++
		}
	}
	return now
}

// sample notes what has changed since the last instant.
func (o *observation) sample(now instant) {
	last := o.last
	seconds := now.at.Sub(last.at).Seconds()
	if seconds <= 0 {
		return
	}
	rate := func(a, b uint64) float64 { return float64(b-a) / seconds }
	var delay hist.Histogram
	var lost uint64
	layers := make([]float64, len(o.points))
	for i, p := range o.run.people {
		r := p.recent(&delay)
		if lost += r.lost; i < len(layers) {
			layers[i] = r.layer
		}
	}
	o.lost += lost
	late := o.lateness()
	o.late.Merge(late)
	s := result.Sample{
		At: now.at.Sub(o.start), People: float64(now.people),
		SentPackets: rate(last.traffic.SentPackets, now.traffic.SentPackets), SentBits: 8 * rate(last.traffic.SentBytes, now.traffic.SentBytes),
		GotPackets: rate(last.traffic.ReceivedPackets, now.traffic.ReceivedPackets), GotBits: 8 * rate(last.traffic.ReceivedBytes, now.traffic.ReceivedBytes),
		Lost: float64(lost) / seconds, DelayP99: quantile(&delay, 0.99), LateP99: quantile(late, 0.99),
		ServerCPU: math.NaN(), ServerRSS: math.NaN(), Goroutines: math.NaN(), OwnCPU: (now.cpu - last.cpu).Seconds() / seconds,
	}
	if now.known {
		s.ServerRSS = float64(now.server.rss)
		if o.run.server.source() == "metrics" {
			s.Goroutines = float64(now.server.goroutines)
		}
		if last.known {
			s.ServerCPU = (now.server.cpu - last.server.cpu).Seconds() / seconds
		}
	}
	o.samples = append(o.samples, s)
	o.samplePeople(now, seconds, layers)
	o.last = now
}

// lateness is by how much the generator missed its times since it was last asked: those of all frames that
// its people sent, and of the metronome.
func (o *observation) lateness() *hist.Histogram {
	late := o.beat.take()
	for _, p := range o.run.people {
		if g, ok := p.guest().(interface{ Lateness(into *hist.Histogram) }); ok {
			g.Lateness(&late)
		}
	}
	return &late
}

func quantile(h *hist.Histogram, share float64) float64 {
	if h.Count() == 0 {
		return math.NaN()
	}
	return h.Quantile(share).Seconds()
}

// samplePeople notes the same of the first people.
func (o *observation) samplePeople(now instant, seconds float64, layers []float64) {
	for i := range o.points {
		p := o.run.people[i]
		t, _ := p.traffic()
		up, down := p.links()
		o.points[i] = append(o.points[i], result.PersonPoint{
			Sent:       8 * float64(t.SentBytes-o.lastPeople[i].SentBytes) / seconds,
			Got:        8 * float64(t.ReceivedBytes-o.lastPeople[i].ReceivedBytes) / seconds,
			Up:         carries(up),
			Down:       carries(down),
			WatchLayer: layers[i],
		})
		o.lastPeople[i] = t
	}
}

// carries is the rate of a link, NaN for unlimited; of one that changes by itself, the mean.
func carries(s link.Shape) float64 {
	if s.Rate == nil {
		return math.NaN()
	}
	if len(s.Rate) == 1 {
		return float64(s.Rate[0].Rate)
	}
	var bits, seconds float64
	for _, seg := range s.Rate {
		bits += float64(seg.Rate) * seg.For.Seconds()
		seconds += seg.For.Seconds()
	}
	return bits / seconds
}

// tell reports how the run goes.
func (o *observation) tell(at time.Duration) {
	plan := o.run.plan
	p := Progress{Phase: Ramping, Left: plan.End - at, Planned: len(o.run.people), People: o.last.people, Lost: o.lost}
	switch {
	case at >= holdEnd(plan):
		p.Phase = Stopping
	case at >= plan.From:
		p.Phase = Holding
	}
	if n := len(o.samples); n > 0 {
		s := o.samples[n-1]
		p.Packets = s.GotPackets
		if !math.IsNaN(s.DelayP99) {
			p.DelayP99 = time.Duration(s.DelayP99 * float64(time.Second))
		}
	}
	for _, one := range o.run.people {
		p.Failures += one.failures()
	}
	o.run.cfg.Progress(p)
}

// inputs is everything that was noted.
func (o *observation) inputs(interrupted bool) *result.Inputs {
	r := o.run
	in := &result.Inputs{Scenario: r.cfg.Scenario, Plan: r.plan, Run: r.cfg.Run, Samples: o.samples, Interrupted: interrupted}
	in.Run.Started = o.start
	if interrupted { // rates are those of what there was of the hold
		in.Plan.To = max(in.Plan.From, o.to.at.Sub(o.start))
		in.Plan.End = in.Plan.To
	}
	if in.Run.Target.Version == "" {
		in.Run.Target.Version = o.to.server.version
	}
	actions := uint64(0)
	for i, p := range r.people {
		one := p.account(o.start)
		one.Received, one.Sent, one.Got = o.received[i], o.sent[i], o.got[i]
		if i < len(o.points) {
			one.Samples = o.points[i]
		}
		for _, b := range bench.Broken(p.ref, o.reports[i]...) {
			in.Violations = append(in.Violations, fmt.Sprintf("room %d: %s", p.room, b))
		}
		p.mu.Lock()
		p.leaveLobby()
		in.Violations = append(in.Violations, p.ledger.broken...)
		actions += p.ledger.late
		p.mu.Unlock()
		in.People = append(in.People, one)
	}
	in.Violations = append(in.Violations, serverViolations(o.before.server.violations, o.last.server.violations)...)
	in.Server = o.serverCost()
	in.Generator = o.generator()
	in.Generator.Actions = actions
	return in
}

// serverCost is what the server took for the hold.
func (o *observation) serverCost() result.Server {
	s := result.Server{Source: o.run.server.source(), Connected: o.to.people}
	if s.Source == "" || !o.from.known || !o.to.known {
		return result.Server{Connected: o.to.people}
	}
	s.CPU = result.Duration(o.to.server.cpu - o.from.server.cpu)
	s.Forwarded = o.to.server.forwarded - o.from.server.forwarded
	s.RSSBefore, s.RSSEnd, s.RSSPeak = o.before.server.rss, o.to.server.rss, o.rssPeak
	s.Goroutines = o.to.server.goroutines
	s.Recorded = o.to.server.recording.bytes - o.from.server.recording.bytes
	return s
}

// generator is how we did in the hold.
func (o *observation) generator() result.Generator {
	g := result.Generator{
		Cores: float64(runtime.GOMAXPROCS(0)),
		Sent:  o.to.traffic.SentPackets - o.from.traffic.SentPackets,
		Got:   o.to.traffic.ReceivedPackets - o.from.traffic.ReceivedPackets,
	}
	g.CPUShare = share(o.to.cpu-o.from.cpu, o.to.at.Sub(o.from.at), g.Cores)
	judge(&g, &o.late)
	if o.run.cfg.Record {
		g.Invalid = append(g.Invalid, o.unrecorded()...)
	}
	return g
}

// unrecorded is what the server did not record that it should have: then it did less than what is measured.
func (o *observation) unrecorded() (faults []string) {
	from, to := o.from.server.recording, o.to.server.recording
	rooms := len(o.run.rooms)
	if from.open != rooms || to.open != rooms {
		faults = append(faults, fmt.Sprintf("%d rooms were recorded when the hold began and %d when it ended, of %d", from.open, to.open, rooms))
	}
	sent := o.to.traffic.SentBytes - o.from.traffic.SentBytes
	if got := to.bytes - from.bytes; float64(got) < mostly*float64(sent) {
		faults = append(faults, fmt.Sprintf("%d bytes were recorded of %d that people sent", got, sent))
	}
	if lost, failed := to.lost-from.lost, to.failureCount-from.failureCount; lost > 0 || failed > 0 {
		faults = append(faults, fmt.Sprintf("the recorder lost %d packets and failed %d times", lost, failed))
	}
	return faults
}

// serverViolations are the invariants that the server itself says were broken meanwhile.
func serverViolations(before, after map[string]uint64) []string {
	var out []string
	for name, n := range after {
		if n > before[name] {
			out = append(out, "the server counted a violation of "+name)
		}
	}
	slices.Sort(out)
	return out
}
