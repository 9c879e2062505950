package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	serverAddr = "10.0.0.1"
	mediaPort  = 8443
	// The scheduling system calls from elsewhere.
	schedulerAddr = "10.0.0.2"
	baseURL       = "http://10.0.0.1:8443"
	defaultHop    = 5 * time.Millisecond
	stepPatient   = time.Minute // no step waits longer for the server
	// settle outlives every timer that a closed server or client may still hold: a bubble ends
	// only when all its goroutines have.
	settle = 15 * time.Second
)

// World is a running simulation: a server, a network and people. A Do step may look at it.
type World struct {
	t        *testing.T
	plan     Plan
	start    time.Time
	ctx      context.Context
	network  *Network
	listener *Listener
	server   *server
	// scheduler is the machine of the scheduling system.
	scheduler *Host
	people    map[string]*person // by ref
	refs      []string           // in the order of the plan
	witness   witness

	mu     sync.Mutex
	events []Event
}

// person is one participant with their machine.
type person struct {
	Person
	id         string // the participant's
	invitation string
	host       *Host
	client     *bench.Client
	transport  *http.Transport

	mu     sync.Mutex
	conns  []*Conn
	killed bool
}

// Run runs a plan in a bubble of its own and reports. A step that fails ends the test.
func Run(t *testing.T, p Plan) Report {
	t.Helper()
	var report Report
	synctest.Test(t, func(t *testing.T) {
		// pion and crypto/tls draw from crypto/rand; what depends on it is never asserted, but
		// equal runs are easier to understand.
		cryptotest.SetGlobalRandom(t, p.Seed)
		w, err := newWorld(t, p)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close() // before Fatal ends the bubble, or it would wait for ever
		for i, s := range p.Steps {
			if err := w.do(s); err != nil {
				t.Errorf("step %d (%T %+v) at %v: %v", i, s, s, w.Elapsed(), err)
				break
			}
		}
		report = w.report()
	})
	return report
}

// newWorld starts the server and makes the people.
func newWorld(t *testing.T, p Plan) (*World, error) {
	w := &World{
		t: t, plan: p, start: time.Now(), ctx: t.Context(), network: NewNetwork(p.Seed), people: make(map[string]*person),
		listener: NewListener(&net.TCPAddr{IP: net.ParseIP(serverAddr), Port: mediaPort}),
	}
	w.witness.init(w)
	if err := w.startServer(); err != nil {
		return nil, err
	}
	var err error
	if w.scheduler, err = w.network.AddHost(schedulerAddr, Path{}, Path{}); err != nil {
		return nil, err
	}
	for i, one := range p.People {
		if err := w.addPerson(i, one); err != nil {
			return nil, err
		}
	}
	return w, w.invite()
}

func (w *World) addPerson(index int, one Person) error {
	if one.Display == "" {
		one.Display = "canary-" + one.Ref + "-7f3a"
	}
	// Links of slightly different length, so that no two people's packets arrive at the same instant.
	hop := defaultHop + time.Duration(index)*137*time.Microsecond
	one.Up.Delay, one.Down.Delay = cmp.Or(one.Up.Delay, hop), cmp.Or(one.Down.Delay, hop)
	host, err := w.network.AddHost(fmt.Sprintf("10.0.1.%d", index+1), one.Up, one.Down)
	if err != nil {
		return err
	}
	p := &person{Person: one, host: host}
	w.people[one.Ref] = p
	w.refs = append(w.refs, one.Ref)
	return nil
}

// dial opens a connection from a person's machine to the server.
func (w *World) dial(ctx context.Context, p *person) (net.Conn, error) {
	c, err := w.listener.Dial(ctx, &net.TCPAddr{IP: p.host.Addr().AsSlice(), Port: 1024})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	return c, nil
}

// httpClient returns an HTTP client on a person's machine, which keeps its transport.
func (w *World) httpClient(p *person) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx, p) }
	p.transport = &http.Transport{DialContext: dial}
	return &http.Client{Transport: p.transport}
}

// newClient makes the person's browser.
func (w *World) newClient(p *person, index int) *bench.Client {
	client := w.httpClient(p)
	return bench.New(bench.Config{
		BaseURL: baseURL, Invitation: p.invitation, HTTP: client, DialContext: p.transport.DialContext,
		Net: p.host, Seed: w.plan.Seed*1000 + uint64(index), Media: p.Media, Defects: p.Defects, Observer: w.witness.observer(p),
	})
}

// Elapsed is the virtual time since the start.
func (w *World) Elapsed() time.Duration { return time.Since(w.start) }

// Client returns a person's client.
func (w *World) Client(ref string) *bench.Client { return w.people[ref].client }

// ID returns a person's participant id.
func (w *World) ID(ref string) string { return w.people[ref].id }

// Host returns a person's machine.
func (w *World) Host(ref string) *Host { return w.people[ref].host }

// Network returns the network.
func (w *World) Network() *Network { return w.network }

// Context lasts as long as the run.
func (w *World) Context() context.Context { return w.ctx }

// record adds an event.
func (w *World) record(ref, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, Event{At: w.Elapsed(), Ref: ref, What: what})
}

// do carries out one step.
func (w *World) do(s Step) error {
	ctx, cancel := context.WithTimeout(w.ctx, stepPatient)
	defer cancel()
	switch s := s.(type) {
	case Join:
		return w.Client(s.Ref).Join(ctx)
	case Connected:
		return w.Client(s.Ref).Connected(ctx)
	case Admit:
		return w.Client(s.By).Admit(ctx, w.ID(s.Who))
	case Refuse:
		_, err := w.Client(s.By).Call(ctx, &wire.Refuse{Participant: w.ID(s.Who)})
		return err
	case Remove:
		_, err := w.Client(s.By).Call(ctx, &wire.Remove{Participant: w.ID(s.Who)})
		return err
	case Leave:
		return w.Client(s.Ref).Leave(ctx)
	case End:
		return w.Client(s.By).End(ctx)
	case Kill:
		w.kill(w.people[s.Ref])
	case Drop:
		w.witness.gone(w.people[s.Ref])
		w.Client(s.Ref).Drop()
	case Reconnect:
		w.witness.gone(w.people[s.Ref])
		return w.Client(s.Ref).Reconnect(ctx)
	case Mute:
		return w.Client(s.Ref).Mute(ctx, s.Source, s.Muted)
	case Share:
		return w.Client(s.Ref).Share(s.On)
	case Pass:
		Advance(s.For)
	case Do:
		return s.Func(w)
	case Try:
		return w.try(s.Step)
	case Together:
		return w.together(s.Steps)
	default:
		return fmt.Errorf("sim: no such step")
	}
	return nil
}

// try runs a step and forgives what a server may answer, and a client that is not there.
func (w *World) try(s Step) error {
	err := w.do(s)
	var refused *bench.RemoteError
	if errors.As(err, &refused) || errors.Is(err, bench.ErrClosed) || errors.Is(err, bench.ErrEnded) {
		return nil
	}
	return err
}

func (w *World) together(steps []Step) error {
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, s := range steps {
		runStep := func() { errs[i] = w.do(s) }
		wg.Go(runStep)
	}
	wg.Wait()
	return errors.Join(errs...)
}

// kill takes a machine off the network first, so that nothing that its client does on the way out is
// heard.
func (w *World) kill(p *person) {
	w.witness.gone(p)
	p.host.Cut(true)
	p.mu.Lock()
	p.killed = true
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	for _, c := range conns {
		c.Sever()
	}
	p.client.Close()
	w.record(p.Ref, "killed")
}

// close ends everything, outermost first, and waits until no timer is left.
func (w *World) close() {
	for _, ref := range w.refs {
		if c := w.people[ref].client; c != nil {
			c.Close()
		}
	}
	w.server.close()
	for _, ref := range w.refs {
		if tr := w.people[ref].transport; tr != nil {
			tr.CloseIdleConnections()
		}
	}
	_ = w.listener.Close()
	w.listener.Wait()
	Advance(settle)
}

// ref returns the ref of a participant id, or the id.
func (w *World) ref(id string) string {
	for _, ref := range w.refs {
		if w.people[ref].id == id {
			return ref
		}
	}
	return id
}

// report collects the outcome.
func (w *World) report() Report {
	r := Report{Violations: w.witness.verdict()}
	for _, ref := range w.refs {
		w.reportPerson(&r, w.people[ref])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Events = slices.Clone(w.events)
	// What happens to different people at one instant has no order.
	slices.SortStableFunc(r.Events, func(a, b Event) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Ref, b.Ref)) })
	return r
}

func (w *World) reportPerson(r *Report, p *person) {
	got := p.client.Report()
	for _, other := range w.refs {
		for _, source := range []wire.Source{wire.SourceMic, wire.SourceCamera, wire.SourceScreen} {
			f := got.Received(w.people[other].id, source)
			if f.Packets == 0 {
				continue
			}
			r.Subscriptions = append(r.Subscriptions, Subscription{
				Subscriber: p.Ref, Publisher: other, Source: source, Packets: f.Packets, Frames: f.Frames,
				First: f.First.Sub(w.start), Last: f.Last.Sub(w.start),
			})
		}
	}
	for _, s := range got.Slots {
		if s.Wrong != 0 || s.Continuity != (bench.Continuity{}) {
			r.Violations = append(r.Violations, fmt.Sprintf("slot %s of %s: %d packets of somebody else, %+v", s.Mid, p.Ref, s.Wrong, s.Continuity))
		}
	}
	down := p.host.Down()
	streams := p.client.Streams()
	for i, s := range streams {
		media, rtx := down[s.Media], down[s.RTX]
		if media.Sent == 0 {
			continue
		}
		r.Slots = append(r.Slots, SlotTraffic{
			Subscriber: p.Ref, Mid: s.Mid, Forwarded: media.Sent, Dropped: media.Dropped,
			Delivered: got.Slots[len(got.Slots)-len(streams)+i].Packets, Resent: rtx.Sent, ResentLost: rtx.Dropped,
		})
	}
}

// Since turns an instant into virtual time since the start.
func (w *World) Since(at time.Time) time.Duration { return at.Sub(w.start) }

// EventAt returns when an event first happened, 0 for never.
func (w *World) EventAt(ref, what string) time.Duration {
	return w.find(ref, what, slices.IndexFunc[[]Event])
}

// LastEventAt returns when an event last happened, 0 for never.
func (w *World) LastEventAt(ref, what string) time.Duration {
	return w.find(ref, what, func(all []Event, is func(Event) bool) int {
		for i := len(all) - 1; i >= 0; i-- {
			if is(all[i]) {
				return i
			}
		}
		return -1
	})
}

func (w *World) find(ref, what string, search func([]Event, func(Event) bool) int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := search(w.events, func(e Event) bool { return e.Ref == ref && e.What == what })
	if i < 0 {
		return 0
	}
	return w.events[i].At
}
