package sim_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/bench/yardstick"
	"github.com/bedside-video/bedside/bench/yardstick/plainpion"
	"github.com/bedside-video/bedside/signaling/wire"
)

// trio is what is played against a server that is not what it should be.
const trio = `
name: honesty
purpose: three people see and hear each other
hold: 20s
people:
  - {ref: anna, role: clinician, camera: single, mic: continuous}
  - {ref: ben, role: clinician, camera: single, mic: continuous}
  - {ref: chris, role: clinician, camera: single, mic: continuous}
objectives: {loss: 0%, freezes: 0, violations: 0, p99_delay: 17ms, audio_gap: 60ms}
`

// stub is a plain SFU with a fault. The fault begins its work at from, when the hold does.
type stub struct {
	t     *testing.T
	fault func(s *stub, q queued) (as plainpion.Feed, due time.Time, ok bool)
	ctx   context.Context

	mu      sync.Mutex
	from    time.Time // zero before the hold
	lines   map[plainpion.Feed]chan queued
	dropped map[plainpion.Feed]uint64
	wg      sync.WaitGroup
}

// queued is a packet on its way through the stub.
type queued struct {
	feed    plainpion.Feed
	at      time.Duration // since the beginning of the hold; negative before it
	now     time.Time
	due     time.Time
	packet  []byte
	forward func(as plainpion.Feed, packet []byte)
}

// handle is a plainpion.Config.Fault. Packets of one track keep their order.
func (s *stub) handle(from plainpion.Feed, packet []byte, forward func(as plainpion.Feed, packet []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	q := queued{feed: from, at: -1, now: now, packet: slices.Clone(packet), forward: forward}
	if !s.from.IsZero() {
		q.at = now.Sub(s.from)
	}
	as, due, ok := s.fault(s, q)
	if !ok {
		s.dropped[from]++
		return
	}
	q.feed, q.due = as, due
	line := s.lines[from]
	if line == nil {
		line = make(chan queued, 4096)
		s.lines[from] = line
		s.wg.Go(func() { s.runLine(line) })
	}
	line <- q
}

// runLine forwards the packets of one track when they are due.
func (s *stub) runLine(line <-chan queued) {
	for {
		select {
		case q := <-line:
			select {
			case <-time.After(time.Until(q.due)):
				q.forward(q.feed, q.packet)
			case <-s.ctx.Done():
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// playHonesty plays the trio against a stub in virtual time. A nil fault is none.
func playHonesty(t *testing.T, fault func(s *stub, q queued) (plainpion.Feed, time.Time, bool)) (result.Result, *stub) {
	t.Helper()
	sc, err := scenario.Parse("honesty.yaml", []byte(trio))
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{t: t, fault: fault, lines: make(map[plainpion.Feed]chan queued), dropped: make(map[plainpion.Feed]uint64)}
	in := result.Inputs{Scenario: sc, Plan: scenario.Expand(sc)}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s.ctx = ctx
		w := sim.NewNetwork(1)
		base, stop := s.serve(w)
		var people []*bench.Broadcast
		refs := make(map[uint64]string)
		for i, one := range in.Plan.People {
			people = append(people, joiner(t, w, base, i, one.Ref))
			refs[bench.SenderHash(one.Ref)] = one.Ref
		}
		in.People = make([]result.Person, len(people))
		var wg sync.WaitGroup
		for i, p := range people {
			wg.Go(func() {
				begun := time.Now()
				if err := p.Join(ctx); err != nil {
					t.Errorf("join: %v", err)
				} else if err := p.Connected(ctx); err != nil {
					t.Errorf("connect: %v", err)
				}
				in.People[i].Joins = []result.Join{{Took: result.Duration(time.Since(begun))}}
			})
		}
		wg.Wait()
		sim.Advance(2 * time.Second)
		s.mu.Lock()
		s.from = time.Now()
		s.mu.Unlock()
		for _, p := range people {
			p.Mark()
		}
		sim.Advance(sc.Hold)
		for i, p := range people {
			report := p.Report()
			in.People[i].Received = bench.Receptions(refs, report)
			in.Violations = append(in.Violations, bench.Broken(in.Plan.People[i].Ref, report)...)
		}
		for _, p := range people {
			p.Close()
		}
		stop()
		cancel()
		s.wg.Wait()
		sim.Advance(15 * time.Second) // outlives every timer of a closed connection
	})
	return result.Build(in), s
}

// web is where the stub takes WHIP and WHEP.
type web struct {
	listener *sim.Listener
	clients  []*http.Transport
}

// serve starts the stub and returns what ends it.
func (s *stub) serve(w *sim.Network) (*web, func()) {
	host, err := w.AddHost("10.0.0.1", sim.Path{}, sim.Path{})
	if err != nil {
		s.t.Fatal(err)
	}
	socket, err := host.Listen(8443)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := plainpion.Config{Socket: socket, Net: host}
	if s.fault != nil {
		cfg.Fault = s.handle
	}
	server, err := plainpion.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	h := yardstick.NewHandler(server)
	at := &web{listener: sim.NewListener(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8443})}
	front := &http.Server{Handler: h}
	s.wg.Go(func() { _ = front.Serve(at.listener) })
	return at, func() {
		if err := h.Close(); err != nil {
			s.t.Errorf("sessions: %v", err)
		}
		_ = front.Close()
		if err := server.Close(); err != nil {
			s.t.Errorf("server: %v", err)
		}
		for _, c := range at.clients {
			c.CloseIdleConnections()
		}
	}
}

// joiner is one of the trio on a machine of their own.
func joiner(t *testing.T, w *sim.Network, at *web, index int, ref string) *bench.Broadcast {
	t.Helper()
	link := sim.Path{Delay: 5*time.Millisecond + time.Duration(index)*137*time.Microsecond}
	host, err := w.AddHost(fmt.Sprintf("10.0.1.%d", index+1), link, link)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return at.listener.Dial(ctx, &net.TCPAddr{IP: host.Addr().AsSlice(), Port: 1024})
	}}
	at.clients = append(at.clients, transport)
	return bench.NewBroadcast(bench.BroadcastConfig{
		Config: bench.Config{
			HTTP: &http.Client{Transport: transport}, Net: host, Seed: uint64(index + 1),
			Media: bench.Media{Camera: bench.Camera(), Mic: bench.Microphone()},
		},
		Ref: ref, Publish: "http://10.0.0.1/whip/room/" + ref, Watch: "http://10.0.0.1/whep/room/" + ref + "?tracks=4", Audio: 2, Video: 2,
	})
}

// differing returns the measurements of two runs that differ.
func differing(a, b result.Result) []string {
	var out []string
	for name, v := range a.Measurements {
		if w, ok := b.Measurements[name]; !ok || math.Abs(v-w) > 1e-9 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func honest(t *testing.T) result.Result {
	t.Helper()
	r, _ := playHonesty(t, nil)
	if r.Verdict != result.Pass || len(r.Subscriptions) != 12 || r.Traffic.Packets < 9000 {
		t.Fatalf("an honest server: %s %q, %d subscriptions, %d packets", r.Verdict, r.Reasons, len(r.Subscriptions), r.Traffic.Packets)
	}
	return r
}

// A server that adds 5 ms is found to add 5 ms and to do nothing else.
func TestAddedDelayIsReportedAsSuch(t *testing.T) {
	base := honest(t)
	r, _ := playHonesty(t, func(_ *stub, q queued) (plainpion.Feed, time.Time, bool) {
		return q.feed, q.now.Add(5 * time.Millisecond), true
	})
	want := []string{"audio_mos", "p50_delay", "p90_delay", "p999_delay", "p99_delay"}
	if got := differing(base, r); !slices.Equal(got, want) {
		t.Errorf("changed: %v, want %v", got, want)
	}
	for _, name := range want[1:] {
		// The histogram is exact to one in a hundred of 10 to 16 ms.
		if added := r.Measurements[name] - base.Measurements[name]; math.Abs(added-0.005) > 0.00025 {
			t.Errorf("%s: %v s more, want 5 ms", name, added)
		}
	}
	if fell := base.Measurements["audio_mos"] - r.Measurements["audio_mos"]; fell < 0 || fell > 0.01 {
		t.Errorf("the score of the audio fell by %v for 5 ms", fell)
	}
	t.Logf("figure: p50 %.2f -> %.2f ms, p99 %.2f -> %.2f ms", base.Measurements["p50_delay"]*1000, r.Measurements["p50_delay"]*1000,
		base.Measurements["p99_delay"]*1000, r.Measurements["p99_delay"]*1000)
}

// A server that drops 1 % is found to have dropped exactly what it has dropped, of whom it has dropped
// it.
func TestLossIsReportedAsSuch(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	r, s := playHonesty(t, func(_ *stub, q queued) (plainpion.Feed, time.Time, bool) {
		// Not at the edges: what was sent before the hold arrives in it.
		return q.feed, q.now, q.at < time.Second || q.at > 17*time.Second || rng.Float64() >= 0.01
	})
	total := uint64(0)
	for feed, n := range s.dropped {
		total += 2 * n
		for _, sub := range r.Subscriptions {
			if sub.Of == feed.Owner && string(sub.Source) == feed.Track && sub.Lost != n {
				t.Errorf("%s: %d packets of %s's %s lost, the server dropped %d", sub.By, sub.Lost, sub.Of, sub.Source, n)
			}
		}
	}
	if total < 40 || r.Traffic.Lost != total || r.Traffic.Repaired != 0 {
		t.Errorf("%d packets lost, %d repaired; dropped %d", r.Traffic.Lost, r.Traffic.Repaired, total)
	}
	if want := float64(total) / float64(r.Traffic.Packets+total); math.Abs(r.Measurements["loss"]-want) > 1e-9 || want < 0.006 || want > 0.01 {
		t.Errorf("loss %v, want %v", r.Measurements["loss"], want)
	}
	if len(r.Violations) != 0 || r.Verdict != result.Fail {
		t.Errorf("%s %q", r.Verdict, r.Reasons)
	}
	t.Logf("figure: %d packets dropped and reported, %.2f %%", total, r.Measurements["loss"]*100)
}

// stuck holds up what it chooses for 2 s, from 5 s on, and lets it go then.
func stuck(which func(plainpion.Feed) bool) func(*stub, queued) (plainpion.Feed, time.Time, bool) {
	const from, to = 5 * time.Second, 7 * time.Second
	return func(s *stub, q queued) (plainpion.Feed, time.Time, bool) {
		if which(q.feed) && q.at >= from && q.at < to {
			return q.feed, s.from.Add(to), true
		}
		return q.feed, q.now, true
	}
}

// stands tells whether a duration is that of the fault: 2 s and up to one frame.
func stands(d result.Duration) bool {
	return time.Duration(d) >= 1900*time.Millisecond && time.Duration(d) <= 2100*time.Millisecond
}

// A server that freezes one stream for 2 s is found to freeze that stream.
func TestFreezeIsReportedAsSuch(t *testing.T) {
	r, _ := playHonesty(t, stuck(func(f plainpion.Feed) bool { return f.Owner == "anna" && f.Track == "camera" }))
	for _, sub := range r.Subscriptions {
		if sub.Of == "anna" && sub.Source == wire.SourceCamera {
			if sub.Video.Freezes != 1 || !stands(sub.Video.Frozen) || !stands(sub.LongestGap) {
				t.Errorf("%s sees anna freeze %d times, for %v, with a gap of %v", sub.By, sub.Video.Freezes, sub.Video.Frozen, sub.LongestGap)
			}
			continue
		}
		if sub.LongestGap > result.Duration(100*time.Millisecond) || sub.Video != nil && sub.Video.Freezes != 0 || sub.Delay.Max > result.Duration(17*time.Millisecond) {
			t.Errorf("%s of %s suffered, too: %+v", sub.Source, sub.Of, sub)
		}
	}
	if r.Measurements["freezes"] != 2 || r.Traffic.Lost != 0 || len(r.Violations) != 0 {
		t.Errorf("freezes %v, lost %d, violations %q", r.Measurements["freezes"], r.Traffic.Lost, r.Violations)
	}
	// The worst come first in the report, by name.
	if worst := r.Subscriptions[0]; worst.Of != "anna" || worst.Source != wire.SourceCamera {
		t.Errorf("the worst is said to be %s of %s", worst.Source, worst.Of)
	}
}

// A server that shows one person in another's place is found out by name.
func TestSwapIsReportedAsSuch(t *testing.T) {
	r, _ := playHonesty(t, func(_ *stub, q queued) (plainpion.Feed, time.Time, bool) {
		other := map[string]string{"anna": "ben", "ben": "anna"}[q.feed.Owner]
		if other != "" && q.feed.Track == "camera" {
			q.feed.Owner = other
		}
		return q.feed, q.now, true
	})
	var said []string
	for _, v := range r.Violations {
		_, what, _ := strings.Cut(v, " packets of ")
		said = append(said, what)
	}
	slices.Sort(said)
	want := []string{
		"the camera of anna reached anna in the slot of somebody else",
		"the camera of anna reached chris in the slot of somebody else",
		"the camera of ben reached ben in the slot of somebody else",
		"the camera of ben reached chris in the slot of somebody else",
	}
	if !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	if r.Measurements["violations"] != 4 || r.Verdict != result.Fail || r.Traffic.Lost != 0 {
		t.Errorf("%s %q, lost %d", r.Verdict, r.Reasons, r.Traffic.Lost)
	}
}

// A server that stalls for 2 s is found to have stalled for everybody.
func TestStallIsReportedAsSuch(t *testing.T) {
	r, _ := playHonesty(t, stuck(func(plainpion.Feed) bool { return true }))
	for _, sub := range r.Subscriptions {
		if !stands(sub.LongestGap) || !stands(sub.Delay.Max) || sub.Lost != 0 {
			t.Errorf("%s of %s for %s: gap %v, delay up to %v, lost %d", sub.Source, sub.Of, sub.By, sub.LongestGap, sub.Delay.Max, sub.Lost)
		}
		if sub.Video != nil && (sub.Video.Freezes != 1 || !stands(sub.Video.Frozen)) {
			t.Errorf("%s of %s for %s: %d freezes, %v", sub.Source, sub.Of, sub.By, sub.Video.Freezes, sub.Video.Frozen)
		}
	}
	if r.Measurements["freezes"] != 6 || r.Traffic.Lost != 0 || len(r.Violations) != 0 {
		t.Errorf("freezes %v, lost %d, violations %q", r.Measurements["freezes"], r.Traffic.Lost, r.Violations)
	}
}
