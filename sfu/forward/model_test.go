package forward_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
)

// model says where packets go by remembering every place it ever gave away. Sources are counted
// without wrapping.
type model struct {
	current, pending forward.Stream
	next             uint16         // the slot's next number
	newest           int            // of the current stream
	place            map[int]uint16 // of the current stream
	left             map[uint16]bool
}

func (m *model) forward(s forward.Stream, src int, key, padding, newest bool) (forward.Verdict, uint16) {
	switch {
	case s == m.pending:
		if !newest || !key {
			return forward.DropWaitKeyFrame, 0
		}
		for len(m.left) > 0 && !m.left[m.next-1] {
			m.next-- // what was kept for packets that never came is free again
		}
		m.current, m.pending, m.newest, m.place = s, 0, src, map[int]uint16{src: m.next}
		m.next++
	case s != m.current:
		return forward.DropNotCurrent, 0
	case src > m.newest:
		for m.newest++; m.newest < src; m.newest++ {
			m.place[m.newest] = m.next
			m.next++
		}
		if padding {
			return forward.DropPadding, 0
		}
		m.place[src] = m.next
		m.next++
	}
	out, ok := m.place[src]
	if first := m.first(); src < first {
		return forward.DropOld, 0
	}
	if !ok || m.left[out] {
		return forward.DropDuplicate, 0
	}
	m.left[out] = true
	return forward.Forwarded, out
}

func (m *model) first() int {
	first := m.newest
	for src := range m.place {
		first = min(first, src)
	}
	return first
}

// source sends packets as a publisher and its network do: frames of a few packets, key frames on
// request, padding, loss, reordering and duplicates.
type source struct {
	stream  forward.Stream
	r       forward.Receiver
	rnd     *rand.Rand
	seq     int
	seqBase uint16
	ts      uint32
	picture uint16
	tl0     uint8
	wantKey bool
	held    []sent // overtaken by others
}

type sent struct {
	src     int
	packet  *codec.Packet
	padding bool
}

func newSource(stream forward.Stream, rnd *rand.Rand) *source {
	return &source{
		stream: stream, r: forward.NewReceiver(90000), rnd: rnd, wantKey: true, seqBase: uint16(rnd.Uint32()),
		ts: rnd.Uint32(), picture: uint16(rnd.Uint32()) & 0x7FFF, tl0: uint8(rnd.Uint32()),
	}
}

// frame returns the packets of one frame as they arrive.
func (s *source) frame() (out []sent) {
	key := s.wantKey && s.rnd.IntN(3) == 0
	s.wantKey = s.wantKey && !key
	s.ts += 3000
	s.picture = (s.picture + 1) & 0x7FFF
	s.tl0++
	for i := range 1 + s.rnd.IntN(4) {
		s.seq++
		seq := s.seqBase + uint16(s.seq)
		out = s.arrive(out, sent{s.seq, vp8(seq, s.ts, key && i == 0, s.picture, s.tl0), false})
	}
	for range max(0, s.rnd.IntN(6)-3) {
		s.seq++
		out = s.arrive(out, sent{s.seq, padding(s.seqBase+uint16(s.seq), s.ts), true})
	}
	return out
}

func (s *source) arrive(out []sent, p sent) []sent {
	switch s.rnd.IntN(12) {
	case 0: // lost
		return out
	case 1:
		s.held = append(s.held, p)
		return out
	case 2:
		out = append(out, p)
	}
	out = append(out, p)
	if len(s.held) > 0 && s.rnd.IntN(4) == 0 {
		out = append(out, s.held[0])
		s.held = s.held[1:]
	}
	return out
}

// slotRun checks one slot against the model and against what must hold whatever happens.
type slotRun struct {
	w     forward.Rewriter
	m     model
	now   time.Time
	start uint32 // timestamps are compared as distances from here

	highest  uint32 // timestamp so far
	boundary uint32 // of the last Reassign
	picture  uint16 // the highest so far
	forwards int
	switches int
}

func (r *slotRun) reassign() error {
	r.boundary = r.w.Reassign(r.now) - r.start
	r.m.current, r.m.pending = 0, 0
	if r.forwards > 0 && r.boundary <= r.highest {
		return fmt.Errorf("boundary %d, but %d has left", r.boundary, r.highest)
	}
	return nil
}

func (r *slotRun) packet(s *source, p sent) error {
	a := s.r.Receive(r.now, p.packet.Seq, p.packet.Timestamp)
	if a.Drop && s.rnd.IntN(2) == 0 {
		return nil // half of the duplicates come through nevertheless, which the slot must survive
	}
	var out forward.Out
	got := r.w.Forward(r.now, s.stream, codec.VP8, p.packet, a.Newest, &out)
	want, seq := r.m.forward(s.stream, p.src, p.packet.KeyFrame, p.padding, a.Newest)
	if got != want || got == forward.Forwarded && out.Seq != seq {
		return fmt.Errorf("stream %d, packet %d: %v as %d, want %v as %d", s.stream, p.src, got, out.Seq, want, seq)
	}
	if got != forward.Forwarded {
		return nil
	}
	return r.check(p, out)
}

func (r *slotRun) check(p sent, out forward.Out) error {
	ts := out.Timestamp - r.start
	if ts < r.boundary {
		return fmt.Errorf("timestamp %d before the boundary %d", ts, r.boundary)
	}
	if out.Switched {
		if !p.packet.KeyFrame || !p.packet.FrameStart {
			return fmt.Errorf("switched on a packet that no decoder can start with")
		}
		if r.forwards > 0 && (ts <= r.highest || out.PictureID != (r.picture+1)&0x7FFF) {
			return fmt.Errorf("switched from %d, picture %d to %d, picture %d", r.highest, r.picture, ts, out.PictureID)
		}
		r.switches++
	}
	if r.forwards == 0 || ts > r.highest {
		r.highest = ts
	}
	if d := (out.PictureID - r.picture) & 0x7FFF; !p.padding && (r.forwards == 0 || d < 0x4000) {
		r.picture = out.PictureID
	}
	r.forwards++
	return nil
}

// run plays one random schedule of switches, hand-overs and mutes over four sources.
func run(seed uint64) (r slotRun, err error) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	r = slotRun{now: epoch, start: rnd.Uint32(), m: model{next: uint16(rnd.Uint32()), left: map[uint16]bool{}}}
	r.w = forward.NewRewriter(90000, r.m.next, r.start, uint16(rnd.Uint32())&0x7FFF, uint8(rnd.Uint32()))
	var sources []*source
	for i := range 4 {
		sources = append(sources, newSource(forward.Stream(i+1), rnd))
	}
	for range 600 {
		switch s := sources[rnd.IntN(len(sources))]; rnd.IntN(40) {
		case 0:
			if err := r.reassign(); err != nil {
				return r, err
			}
			fallthrough
		case 1, 2:
			r.w.Target(s.stream)
			s.wantKey = true
			r.m.pending = s.stream
			if s.stream == r.m.current {
				r.m.pending = 0
			}
		case 3:
			r.w.Resync()
			if r.m.pending == 0 {
				r.m.pending = r.m.current
			}
			r.m.current = 0
			if r.m.pending != 0 {
				sources[r.m.pending-1].wantKey = true
			}
		}
		r.now = r.now.Add(time.Duration(rnd.IntN(40)) * time.Millisecond)
		for _, s := range sources {
			for _, p := range s.frame() {
				if err := r.packet(s, p); err != nil {
					return r, err
				}
			}
		}
	}
	return r, nil
}

func TestRewriterAgainstModel(t *testing.T) {
	forwards, switches := 0, 0
	for seed := range uint64(100) {
		r, err := run(seed)
		if err != nil {
			t.Fatalf("seed %d, after %d packets and %d switches: %v", seed, r.forwards, r.switches, err)
		}
		forwards += r.forwards
		switches += r.switches
	}
	if forwards < 50000 || switches < 2000 {
		t.Errorf("only %d packets forwarded and %d switches: the schedules test nothing", forwards, switches)
	}
	t.Logf("%d packets forwarded, %d switches", forwards, switches)
}

func FuzzRewriter(f *testing.F) {
	for seed := range uint64(3) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		if r, err := run(seed); err != nil {
			t.Fatalf("after %d packets and %d switches: %v", r.forwards, r.switches, err)
		}
	})
}
