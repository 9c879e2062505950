package sim

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/store"
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
	host     *Host            // the server's machine
	store    store.Store      // what the server keeps
	cfg      config.Signaling // with its keys, which it keeps, too
	past     string           // the papers of servers before this one
	broken   float64          // the invariants that they counted as broken
	// scheduler is the machine of the scheduling system.
	scheduler *Host
	people    map[string]*person // by ref
	// consultation is the id of the one that everybody is in.
	consultation string
	refs         []string // in the order of the plan
	witness      witness
	tapes        tapes

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

	mu    sync.Mutex
	conns []*Conn
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
		store:    store.NewMap(storeEntries), cfg: signalingConfig(),
	}
	w.witness.init(w)
	var err error
	if w.host, err = w.network.AddHost(serverAddr, Path{}, Path{}); err != nil {
		return nil, err
	}
	if err := w.startServer(); err != nil {
		return nil, err
	}
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
	// Links of slightly different length, so that no two people's packets arrive at the same instant, nor at a
	// tick of the server.
	hop := defaultHop + time.Duration(index+1)*137*time.Microsecond
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
	var socket func() (net.PacketConn, error)
	if p.Stack == bench.Lean || p.Relay != bench.NoRelay {
		socket = func() (net.PacketConn, error) { return p.host.Listen(0) }
	}
	return bench.New(bench.Config{
		BaseURL: baseURL, Invitation: p.invitation, HTTP: client, DialContext: p.transport.DialContext,
		Net: p.host, Stack: p.Stack, Relay: p.Relay, Socket: socket, Verify: p.Verify, Seed: w.plan.Seed*1000 + uint64(index), Media: p.Media, Defects: p.Defects, Observer: w.witness.observer(p),
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

// Since turns an instant into virtual time since the start.
func (w *World) Since(at time.Time) time.Duration { return at.Sub(w.start) }

// HTTP returns an HTTP client on a person's machine.
func (w *World) HTTP(ref string) *http.Client {
	return &http.Client{Transport: w.people[ref].transport}
}

// Invitation returns a person's invitation, for those who come without a bench.Client.
func (w *World) Invitation(ref string) string { return w.people[ref].invitation }
