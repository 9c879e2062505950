package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/lean"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

// leadTime is between the last preparation and the start of the plan.
const leadTime = 200 * time.Millisecond

// run is one run. Its people and what they share do not change once it plays.
type run struct {
	cfg    Config
	clock  bench.Clock
	plan   scenario.Plan
	people []*person
	rooms  [][]*person
	refs   []map[uint64]string // by room: the refs of its people by SenderHash
	server server
	// certificate is that of all clients: making one takes longer than a handshake.
	certificate *lean.Certificate

	alive   context.Context // ends when everything must
	burials sync.WaitGroup  // of machines that were killed
}

// Run plays a scenario. When ctx ends before the plan does, the result is that of what was measured so
// far, marked as interrupted. The consultations are cancelled in any case. An error without a result
// tells that nothing could be measured; one beside a result that consultations were left open.
func Run(ctx context.Context, cfg Config) (result.Result, error) {
	cfg = cfg.withDefaults()
	r := &run{cfg: cfg, clock: cfg.Clock, plan: scenario.Expand(cfg.Scenario)}
	var err error
	if r.certificate, err = lean.NewCertificate(); err != nil {
		return result.Result{}, err
	}
	defer cfg.HTTP.CloseIdleConnections()
	r.server = server{metrics: cfg.MetricsURL, pid: cfg.PID, http: cfg.HTTP}
	cfg.Progress(Progress{Phase: Opening, Left: r.plan.End, Planned: len(r.plan.People)})
	if err := cfg.Target.Open(ctx, cfg.Scenario, r.plan); err != nil {
		if ctx.Err() != nil {
			err = ErrNothingMeasured
		}
		// Whoever could not open rooms may not be able to close them either; the first error counts.
		if closed := cfg.Target.Close(ctx); closed != nil {
			cfg.Log.Warn("after a failed start", "error", closed)
		}
		return result.Result{}, err
	}
	r.invite()
	in, err := r.play(ctx)
	cfg.Progress(Progress{Phase: Closing, Planned: len(r.plan.People)})
	if closed := cfg.Target.Close(ctx); closed != nil {
		err = errors.Join(err, fmt.Errorf("load: %w", closed))
	}
	if in == nil {
		return result.Result{}, err
	}
	return result.Build(*in), err
}

// invite makes the people of the plan.
func (r *run) invite() {
	all := tracks(r.plan)
	r.rooms = make([][]*person, r.cfg.Scenario.Rooms.Count)
	r.refs = make([]map[uint64]string, len(r.rooms))
	for i := range r.refs {
		r.refs[i] = make(map[uint64]string)
	}
	for i, one := range r.plan.People {
		g := &r.cfg.Scenario.People[one.Group]
		p := &person{run: r, index: i, room: one.Room, ref: one.Ref, group: g, id: r.cfg.Target.ID(i), steps: all[i], layout: g.Layout}
		p.up, p.down = first(g.Up), first(g.Down)
		r.people = append(r.people, p)
		r.rooms[one.Room] = append(r.rooms[one.Room], p)
		r.refs[one.Room][bench.SenderHash(p.id)] = p.ref
	}
}

// first is the link at the start.
func first(trace []scenario.LinkStep) link.Shape {
	if len(trace) == 0 {
		return link.Shape{}
	}
	return trace[0].Link
}

// find returns a person of a room. A plan names nobody who is not in it.
func (r *run) find(room int, ref string) *person {
	for _, p := range r.rooms[room] {
		if p.ref == ref {
			return p
		}
	}
	panic("load: internal error: the plan names " + ref + ", who is not invited")
}

// recorder is who asks for the recording of a room: its first clinician, nil if there is none.
func (r *run) recorder(room int) *person {
	for _, p := range r.rooms[room] {
		if p.group.Role == wire.RoleClinician {
			return p
		}
	}
	return nil
}

// play lets everybody do what they do, and measures. The inputs are nil when there is nothing to
// report, and else those of the result.
func (r *run) play(ctx context.Context) (*result.Inputs, error) {
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	r.alive = alive
	acting, stop := context.WithCancel(ctx)
	defer stop()
	start := r.clock.Now().Add(leadTime)
	o := newObservation(r, start)
	if err := o.begin(acting); err != nil {
		end()
		return nil, err
	}
	var people, watching sync.WaitGroup
	watching.Go(func() { o.beat.run(acting) })
	for _, p := range r.people {
		people.Go(func() { p.runActions(acting, start) })
	}
	o.follow(acting)
	interrupted := ctx.Err() != nil
	stop() // whoever still waits for the server has waited long enough
	people.Wait()
	watching.Wait()
	in := o.inputs(interrupted)
	end()
	r.close()
	if interrupted && r.clock.Now().Before(start) {
		return nil, ErrNothingMeasured
	}
	return in, nil
}

// close ends all clients, a few at once, and waits for them.
func (r *run) close() {
	next := make(chan *person)
	var wg sync.WaitGroup
	runCloser := func() {
		for p := range next {
			p.close()
		}
	}
	for range windows {
		wg.Go(runCloser)
	}
	for _, p := range r.people {
		next <- p
	}
	close(next)
	wg.Wait()
	r.burials.Wait()
}

// wait waits for an instant; false when ctx has ended before.
func (r *run) wait(ctx context.Context, at time.Time) bool {
	d := at.Sub(r.clock.Now())
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-r.clock.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// newMachine returns the machine of a person, their n-th. Seeds differ between people and machines and
// are the same in every run.
func (r *run) newMachine(p *person, up, down link.Shape, n int) *machine {
	const gamma = 0x9e3779b97f4a7c15 // splitmix64's increment
	seed := r.cfg.Scenario.Seed + gamma*uint64(p.index*64+n+1)
	m := &machine{network: r.cfg.Network, seed: seed, impaired: p.impaired(), up: up, down: down}
	m.guest = r.cfg.Target.Guest(p.index, bench.Config{
		HTTP: r.cfg.HTTP, DialContext: m.dial, TLS: r.cfg.TLS, Net: r.cfg.Network.Net, Loopback: r.cfg.Network.Net == nil, Clock: r.clock, Seed: seed,
		Stack: r.cfg.Stack, GCM: r.cfg.GCM, Socket: m.listen, Verify: verifies(p.index, r.cfg.Verify), Certificate: r.certificate,
		Relay: relayOf(p.group.Way), Media: bench.MediaOf(*p.group), Observer: p.observer(), Log: r.cfg.Log,
	})
	return m
}

// relayOf is how a client goes a way.
func relayOf(w scenario.Way) bench.Relay {
	switch w {
	case scenario.WayTCP:
		return bench.DirectTCP
	case scenario.WayTURNTCP:
		return bench.RelayTCP
	case scenario.WayTURNTLS:
		return bench.RelayTLS
	}
	return bench.NoRelay
}

// verifies tells whether a person is among the share that checks every packet: they are spread evenly.
func verifies(index int, share float64) bool {
	return math.Floor(float64(index+1)*share) > math.Floor(float64(index)*share)
}

// impaired tells whether somebody's network is ever anything but this machine's own.
func (p *person) impaired() bool {
	for _, s := range p.steps {
		if s.Do == scenario.SetLink {
			return true
		}
	}
	return len(p.group.Up)+len(p.group.Down) > 0
}
