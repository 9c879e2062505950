package yardstick_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/yardstick"
	"github.com/bedside-video/bedside/bench/yardstick/floor"
	"github.com/bedside-video/bedside/bench/yardstick/plainpion"
	"github.com/bedside-video/bedside/signaling/wire"
)

const patience = time.Minute

// server is a yardstick with its front.
type server interface {
	yardstick.Server
	Close() error
}

// start runs a yardstick on loopback until the test ends, and returns its URL.
func start(t *testing.T, of func(*net.UDPConn) (server, error)) string {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := of(socket)
	if err != nil {
		t.Fatal(err)
	}
	h := yardstick.NewHandler(s)
	web := httptest.NewServer(h)
	t.Cleanup(func() {
		web.Close()
		if err := h.Close(); err != nil {
			t.Errorf("sessions: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	return web.URL
}

// servers are the yardsticks.
func servers() map[string]func(*net.UDPConn) (server, error) {
	return map[string]func(*net.UDPConn) (server, error){
		"plainpion": func(c *net.UDPConn) (server, error) { return plainpion.New(plainpion.Config{Socket: c}) },
		"floor": func(c *net.UDPConn) (server, error) {
			return floor.New(floor.Config{Socket: c, Now: time.Now, Rand: rand.Reader})
		},
	}
}

// TestRoomOfThree lets three people see and hear each other, each by their own name.
func TestRoomOfThree(t *testing.T) {
	for name, of := range servers() {
		t.Run(name+", pion's clients", func(t *testing.T) { threePeople(t, of, bench.Config{Stack: bench.Pion}) })
		t.Run(name+", lean clients", func(t *testing.T) { threePeople(t, of, bench.Config{Stack: bench.Lean, Verify: true}) })
		t.Run(name+", counting clients", func(t *testing.T) { threePeople(t, of, bench.Config{Stack: bench.Lean}) })
	}
}

func threePeople(t *testing.T, of func(*net.UDPConn) (server, error), cfg bench.Config) {
	t.Parallel()
	base := start(t, of)
	refs := []string{"anna", "ben", "chris"}
	var wg, room sync.WaitGroup
	room.Add(len(refs))
	people := make([]*bench.Broadcast, len(refs))
	want := 40 // packets of each track
	if cfg.Stack == bench.Lean && !cfg.Verify {
		want = 3 // one in 16 is opened
	}
	for i, ref := range refs {
		heard := newTally(want)
		mine := cfg
		mine.HTTP, mine.Loopback, mine.Seed = http.DefaultClient, true, uint64(i+1)
		mine.Media = bench.Media{Camera: bench.Camera(), Mic: bench.Microphone()}
		mine.Observer.Packet, mine.Observer.Step = heard.packet, heard.step
		people[i] = bench.NewBroadcast(bench.BroadcastConfig{
			Config: mine, Ref: ref, Publish: fmt.Sprintf("%s/whip/room/%s", base, ref), Watch: fmt.Sprintf("%s/whep/room/%s?tracks=4", base, ref),
			Audio: 2, Video: 2,
		})
		wg.Go(func() { runPerson(t, people[i], heard, &room) })
	}
	wg.Wait()
	for i, p := range people {
		r := p.Report()
		for _, other := range refs {
			for _, source := range []wire.Source{wire.SourceCamera, wire.SourceMic} {
				if got := r.Received(other, source).Packets; (got == 0) != (other == refs[i]) {
					t.Errorf("%s received %d packets of %s's %s", refs[i], got, other, source)
				}
			}
		}
		if wrong := r.Total(func(s bench.SlotReport) uint64 { return s.Wrong }); wrong != 0 {
			t.Errorf("%s received %d packets of the wrong person", refs[i], wrong)
		}
		if n := r.Total(func(s bench.SlotReport) uint64 { return s.Decodable }); n == 0 {
			t.Errorf("%s saw no picture: %+v", refs[i], r.Slots)
		}
	}
}

// runPerson joins, stays until everybody has had enough of every track, and leaves.
func runPerson(t *testing.T, p *bench.Broadcast, heard *tally, room *sync.WaitGroup) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	defer p.Close()
	err := p.Join(ctx)
	if err == nil {
		err = p.Connected(ctx)
	}
	if err != nil {
		t.Errorf("join: %v", err)
	}
	for _, c := range []chan struct{}{heard.enough, heard.picture} {
		select {
		case <-c:
		case <-ctx.Done():
			t.Errorf("not enough came")
		}
	}
	room.Done()
	room.Wait()
	if err := p.Leave(t.Context()); err != nil {
		t.Errorf("leave: %v", err)
	}
}

// TestGCMAlone tells a server that takes AES-128-GCM from one that does not.
func TestGCMAlone(t *testing.T) {
	for name, c := range map[string]struct {
		stack   bench.Stack
		profile dtls.SRTPProtectionProfile
		up      bool
	}{
		"pion, GCM":       {bench.Pion, dtls.SRTP_AEAD_AES_128_GCM, true},
		"lean, GCM":       {bench.Lean, dtls.SRTP_AEAD_AES_128_GCM, true},
		"lean, HMAC-SHA1": {bench.Lean, dtls.SRTP_AES128_CM_HMAC_SHA1_80, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := start(t, func(socket *net.UDPConn) (server, error) {
				return plainpion.New(plainpion.Config{Socket: socket, Profiles: []dtls.SRTPProtectionProfile{c.profile}})
			})
			told := make(chan bool, 1)
			p := bench.NewBroadcast(bench.BroadcastConfig{
				Config: bench.Config{
					HTTP: http.DefaultClient, Loopback: true, Stack: c.stack, GCM: true, Media: bench.Media{Mic: bench.Microphone()},
					Observer: bench.Observer{Connected: func(_ time.Time, up bool) {
						select {
						case told <- up:
						default: // the first word counts
						}
					}},
				},
				Ref: "anna", Publish: base + "/whip/room/anna",
			})
			defer p.Close()
			if err := p.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case up := <-told:
				if up != c.up {
					t.Errorf("connected: %v, want %v", up, c.up)
				}
			case <-time.After(patience):
				t.Error("nothing was heard of the connection")
			}
		})
	}
}

// tally waits for packets of four tracks, and for a picture.
type tally struct {
	want    int
	mu      sync.Mutex
	packets map[string]int
	full    int
	enough  chan struct{}
	picture chan struct{}
}

func newTally(want int) *tally {
	return &tally{want: want, packets: make(map[string]int), enough: make(chan struct{}), picture: make(chan struct{})}
}

func (h *tally) packet(_ time.Time, a bench.Arrival) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := fmt.Sprintf("%x %d", a.Tag.Sender, a.Tag.Source)
	h.packets[key]++
	if h.packets[key] == h.want {
		if h.full++; h.full == 4 {
			close(h.enough)
		}
	}
}

func (h *tally) step(_ time.Time, s bench.Step) {
	if s == bench.StepFrame {
		close(h.picture)
	}
}
