package sfu

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/transport"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// noPort is a transport.Port that these tests never use: their connections are fakes.
type noPort struct{ transport.Port }

// stage is a room whose peers have fake connections, in a synctest bubble.
type stage struct {
	t       testing.TB
	room    *Room
	metrics *prometheus.Registry
}

func onStage(t *testing.T, f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, metrics: prometheus.NewRegistry()}
		server, err := New(config.SFU{SSRCLimit: 16}, Deps{
			Port: noPort{}, Clock: time.Now, Rand: rand.Reader, Metrics: s.metrics,
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)), FirstEstimate: openBitrate,
		})
		if err != nil {
			t.Fatal(err)
		}
		if s.room, err = server.OpenRoom("room", RoomOptions{MaxPeers: 4}); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = server.Close() }()
		f(s)
	})
}

// actor is a peer on stage: its fake connection, its outlets and what it was told.
type actor struct {
	*Peer
	s *stage

	mu      sync.Mutex
	rtcp    []rtcp.Packet
	state   transport.State
	told    []string
	sent    map[string][]delivery // by mid, since it was last looked at
	past    map[string][]delivery // by mid, all that may be repeated
	opened  time.Time
	padded  int               // packets of padding
	inbound uint64            // bytes
	full    bool              // nothing more may wait
	held    map[uint16]bool   // wait
	drops   []string          // mids of the slots that were emptied
	acks    []bwe.Ack         // what the next feedback tells
	seqs    map[string]uint16 // of what it publishes, by mid and RID

	paced   atomic.Int64 // as told last
	waiting atomic.Int64 // releases until nothing does
	ticks   atomic.Int64 // releases
}

// delivery is one packet that left a slot.
type delivery struct {
	transport.Outgoing
	rtx      bool
	repeated bool
	payload  string
}

func (a *actor) Answer(_ context.Context, _ string, check func([]transport.MLine) error) (transport.Negotiation, error) {
	return transport.Negotiation{}, check(nil)
}

func (a *actor) State() transport.State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

func (a *actor) WriteRTCP(p ...rtcp.Packet) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rtcp = append(a.rtcp, p...)
	return nil
}
func (a *actor) Acknowledge(_ *twcc.Feedback, acks []bwe.Ack) []bwe.Ack {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append(acks, a.acks...)
}
func (a *actor) Outbound() transport.Outbound         { return transport.Outbound{Tracked: true} }
func (a *actor) MarkProbe(id uint8, _ int)            { a.tell("probe %d", id) }
func (a *actor) Pace(bitrate int, _ transport.Waiter) { a.paced.Store(int64(bitrate)) }
func (a *actor) Release(time.Time) bool               { a.ticks.Add(1); return a.waiting.Add(-1) > 0 }
func (a *actor) TransportFeedback() []rtcp.Packet     { return nil }

func (a *actor) Inbound() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inbound
}

func (a *actor) Close() error { return nil }

// become changes the state of the fake connection.
func (a *actor) become(state transport.State) {
	a.mu.Lock()
	a.state = state
	a.mu.Unlock()
	a.StateChanged()
}

func (a *actor) tell(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, fmt.Sprintf(format, args...))
}

func (a *actor) Slots(_ uint64, changed []Assignment) {
	for _, c := range changed {
		text := fmt.Sprintf("%s: %s %s", c.Mid, c.Peer, c.Source)
		if c.Muted {
			text += " muted"
		}
		a.tell("%s", text)
	}
}
func (a *actor) Layers(mid string, active []string, lowest int) {
	if lowest > 0 {
		a.tell("layers %s %q %d", mid, active, lowest)
		return
	}
	a.tell("layers %s %q", mid, active)
}
func (a *actor) Audio(x Audio) {
	text := fmt.Sprintf("audio %d bit/s, carry %v, delay %v", x.Bitrate, x.Carry, x.Delay)
	if x.Packet > 0 {
		text += fmt.Sprintf(", packets of %v", x.Packet)
	}
	a.tell("%s", text)
}
func (a *actor) Speakers(levels []Level)    { a.tell("speakers %v", levels) }
func (a *actor) Transport(s TransportState) { a.tell("%s", s) }
func (a *actor) Failed(r FailReason)        { a.tell("failed %s", r) }

// heard returns what the actor was told since the last call.
func (a *actor) heard() []string {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	told := a.told
	a.told = nil
	return told
}

// asked returns the SSRCs for which key frames were asked since the last call.
func (a *actor) asked() (ssrcs []uint32) {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.rtcp {
		if pli, ok := p.(*rtcp.PictureLossIndication); ok {
			ssrcs = append(ssrcs, pli.MediaSSRC)
		}
	}
	a.rtcp = slices.DeleteFunc(a.rtcp, func(p rtcp.Packet) bool { _, ok := p.(*rtcp.PictureLossIndication); return ok })
	return ssrcs
}

// got returns what left the slot mid since the last call.
func (a *actor) got(mid string) []delivery {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.sent[mid]
	delete(a.sent, mid)
	return d
}

// out is the outlet of one of an actor's slots.
type out struct {
	a    *actor
	mid  string
	ssrc uint32
}

func (o out) Pad(seq uint16, _ uint32) bool {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	o.a.padded++
	return true
}
func (o out) SSRC() uint32   { return o.ssrc }
func (o out) TakesRED() bool { return true }
func (o out) Repeats() bool  { return true }
func (o out) Repeat(_ time.Time, seq uint16, _ time.Duration) int {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	for _, d := range o.a.past[o.mid] {
		if d.Seq == seq {
			o.a.sent[o.mid] = append(o.a.sent[o.mid], delivery{Outgoing: d.Outgoing, repeated: true, payload: d.payload})
			return 100
		}
	}
	return 0
}
func (o out) Holds(seq uint16) bool {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	return o.a.held[seq]
}
func (o out) Drop() int {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	o.a.drops = append(o.a.drops, o.mid)
	return 0
}
func (o out) Sent() (packets, octets uint32) {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	return uint32(len(o.a.past[o.mid])), 0
}
func (o out) Write(x transport.Outgoing, payload []byte) error {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	if o.a.full && o.mid[0] == 'v' {
		return transport.ErrFull
	}
	d := delivery{Outgoing: x, payload: string(payload)}
	o.a.sent[o.mid], o.a.past[o.mid] = append(o.a.sent[o.mid], d), append(o.a.past[o.mid], d)
	return nil
}
func (o out) WriteRTX(x transport.Outgoing, payload []byte) error {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	o.a.sent[o.mid] = append(o.a.sent[o.mid], delivery{Outgoing: x, rtx: true, payload: string(payload)})
	return nil
}

// enter adds an actor with a microphone (mid m), a camera (c) and a screen (s), audio slots a0..a2
// and video slots v0..v3, connected but not admitted.
func (s *stage) enter(id string) *actor {
	s.t.Helper()
	a := s.cast(id)
	if err := s.room.add(context.Background(), a.Peer); err != nil {
		s.t.Fatal(err)
	}
	a.equip()
	a.StateChanged()
	return a
}

// cast makes an actor that is nowhere yet.
func (s *stage) cast(id string) *actor {
	a := &actor{s: s, opened: time.Now(), state: transport.StateConnected, sent: map[string][]delivery{}, past: map[string][]delivery{}, seqs: map[string]uint16{}}
	a.Peer = newPeer(s.room, PeerOptions{ID: id, Publish: []codec.Source{codec.Mic, codec.Camera, codec.Screen}, Subscribe: true, Events: a})
	a.conn = a
	return a
}

// equip gives the actor what enter says.
func (a *actor) equip() {
	s := a.s
	s.t.Helper()
	tracks := []Track{{"m", codec.Mic}, {"c", codec.Camera}, {"s", codec.Screen}}
	if err := a.adopt(transport.Negotiation{AudioLevelID: 1}, tracks); err != nil {
		s.t.Fatal(err)
	}
	for i := range 7 {
		x := &slot{mid: fmt.Sprintf("a%d", i), kind: codec.Audio, index: i, shield: shield{purse: a.Peer}}
		if i >= 3 {
			x.mid, x.kind, x.index = fmt.Sprintf("v%d", i-3), codec.Video, i-3
		}
		rate := codec.Opus.ClockRate()
		if x.kind == codec.Video {
			rate = codec.VP8.ClockRate()
		}
		r, err := s.room.server.newRewriter(rate)
		if err != nil {
			s.t.Fatal(err)
		}
		x.rewriter, x.out = r, out{a: a, mid: x.mid, ssrc: uint32(100 + i)}
		a.Peer.mu.Lock()
		a.slots = append(a.slots, x)
		a.bySSRC[uint32(100+i)] = x
		a.Peer.mu.Unlock()
	}
}

func (s *stage) admit(ids ...string) {
	s.t.Helper()
	if err := s.room.SetRoster(context.Background(), ids); err != nil {
		s.t.Fatal(err)
	}
}

// keyFrame and delta are VP8 payloads without descriptor extensions.
const (
	keyFrame = "\x10\x00\x00\x00\x9d\x01\x2a"
	delta    = "\x10\x01\x00\x00"
)

// publish sends one packet of the actor's m-line mid, encoding rid, as the transport would.
func (a *actor) publish(mid, rid, payload string) { a.send1(mid, rid, payload, 127) }

// speak sends one packet of Opus of that loudness, 0 to 127.
func (a *actor) speak(loudness int) { a.send1("m", "", "opus", 127-loudness) }

func (a *actor) send1(mid, rid, payload string, level int) {
	a.s.t.Helper()
	a.Peer.mu.Lock()
	pub := a.publications[mid]
	a.Peer.mu.Unlock()
	var e *encoding
	pub.mu.Lock()
	for _, x := range pub.encodings {
		if x.rid == rid {
			e = x
		}
	}
	pub.mu.Unlock()
	if e == nil {
		sink := a.Open(mid, rid)
		if sink == nil {
			a.s.t.Fatalf("encoding %s/%s is refused", mid, rid)
		}
		e = sink.(*encoding)
	}
	a.seqs[mid+rid]++
	name, lasts := codec.VP8, uint32(3000)
	if mid == "m" {
		name = codec.Opus
		if payload[:1] == toc {
			lasts = 960
		}
	}
	b := []byte{0x90, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xBE, 0xDE, 0, 1, 0x10, byte(level), 0, 0}
	if name != codec.Opus {
		b[1] |= 0x80 // every packet is a frame
	}
	binary.BigEndian.PutUint16(b[2:], a.seqs[mid+rid])
	binary.BigEndian.PutUint32(b[4:], uint32(a.seqs[mid+rid])*lasts)
	binary.BigEndian.PutUint32(b[8:], ssrcOf(mid, rid))
	var p codec.Packet
	if err := p.Parse(append(b, payload...)); err != nil {
		a.s.t.Fatal(err)
	}
	if err := p.ParsePayload(name); err != nil {
		a.s.t.Fatal(err)
	}
	e.RTP(time.Now(), name, &p, false)
	e.Flush()
	synctest.Wait()
}

func ssrcOf(mid, rid string) uint32 {
	n := uint32(mid[0]) << 8
	if rid != "" {
		n |= uint32(rid[0])
	}
	return n
}

// advance lets the bubble's clock run.
func (s *stage) advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (s *stage) metric(name, label string) float64 {
	s.t.Helper()
	s.advance(controlInterval) // tallies are flushed by each peer's timer
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range families {
		for _, x := range m.Metric {
			if m.GetName() == name && (label == "" || x.Label[0].GetValue() == label) {
				return x.Counter.GetValue()
			}
		}
	}
	s.t.Fatalf("no metric %s %q", name, label)
	return 0
}
