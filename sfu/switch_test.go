package sfu

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/layers"
)

const (
	frameTime = time.Second / 30
	deafness  = 300 * time.Millisecond // of an encoder after a key frame (Chromium 156, 2026-11-22)
	tagBytes  = 12
	repaired  = 70 * time.Millisecond // after which a lost packet comes again
)

// shot is one frame of an encoder, as its tag tells.
type shot struct {
	encoding, tid, packet, packets uint8
	frame, taken                   uint32
}

// pattern is libvpx's for three temporal layers: the layer of each of eight frames, and how many frames
// before it those are that it refers to.
func pattern() (tids [8]uint8, refs [8][]uint32) {
	return [8]uint8{0, 2, 1, 2, 0, 2, 1, 2}, [8][]uint32{{4}, {1}, {2}, {1, 3}, {4}, {1, 3}, {2, 4}, {1, 3}}
}

// lens is the encoder of one layer.
type lens struct {
	e       *encoding
	name    codec.Name
	index   uint8
	frame   uint32 // since the last key frame
	keyAt   uint32
	keyed   time.Time
	keyDue  bool
	seq     uint16
	ts      uint32
	picture uint16
	tl0     uint8
	queue   []queued // on the way to the server
}

// queued is a packet that arrives at due.
type queued struct {
	due    time.Time
	packet []byte
	again  bool // by retransmission
}

// send puts a packet on its way. They arrive in order; those that are lost arrive later, again.
func (l *lens) send(due time.Time, lost bool, packet []byte) {
	if lost {
		due = due.Add(repaired)
	} else {
		for _, q := range l.queue {
			if !q.again && q.due.After(due) {
				due = q.due
			}
		}
	}
	l.queue = append(l.queue, queued{due, packet, lost})
}

// arrive hands the server what has arrived by now.
func (l *lens) arrive(t *testing.T, now time.Time) {
	t.Helper()
	l.queue = slices.DeleteFunc(l.queue, func(q queued) bool {
		if q.due.After(now) {
			return false
		}
		var p codec.Packet
		if err := p.Parse(q.packet); err != nil {
			t.Fatal(err)
		}
		if err := p.ParsePayload(l.name); err != nil {
			t.Fatal(err)
		}
		l.e.RTP(now, l.name, &p, q.again)
		return true
	})
	l.e.Flush()
}

// shoot makes the packets of the frame taken at now. Key frames of higher encodings that are not shown
// take up to six frames to arrive, and some lose a packet, which is repaired.
func (l *lens) shoot(now time.Time, taken uint32, shown bool) {
	l.frame++
	key := l.keyDue
	if key {
		l.keyDue, l.keyed, l.keyAt = false, now, l.frame
	}
	tids, _ := pattern()
	tid := uint8(0)
	if l.name == codec.VP8 {
		tid = tids[(l.frame-l.keyAt)%8]
	}
	l.picture++
	if tid == 0 {
		l.tl0++
	}
	packets := 1 + l.index + l.index*uint8(l.frame%3)
	if key {
		packets += 6 * l.index
	}
	for i := range packets {
		l.seq++
		b := []byte{0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint16(b[2:], l.seq)
		binary.BigEndian.PutUint32(b[4:], l.ts+taken)
		binary.BigEndian.PutUint32(b[8:], uint32(l.index)+1)
		if i == packets-1 {
			b[1] |= 0x80
		}
		b = append(b, l.payload(key, tid, i)...)
		b = append(b, l.index, tid, i, packets)
		b = binary.BigEndian.AppendUint32(b, l.frame)
		b = binary.BigEndian.AppendUint32(b, taken)
		due := now
		if key && !shown {
			due = due.Add(10 * time.Millisecond * time.Duration(i))
		}
		l.send(due, key && i > 0 && !shown && (taken/3000+uint32(i))%24 == 0, b)
	}
}

func (l *lens) payload(key bool, tid, packet uint8) []byte {
	if l.name == codec.H264 {
		if key && packet == 0 {
			return []byte{24, 0, 2, 0x67, 1, 0, 2 + tagBytes, 0x65, 0x88} // STAP-A: SPS, and IDR with the tag
		}
		return []byte{0x41, 0x9a}
	}
	first, inverse, sync := byte(0x80), byte(1), byte(0)
	if packet == 0 {
		first = 0x90
		if key {
			inverse = 0
		}
	}
	if n := (l.frame - l.keyAt) % 8; n == 1 || n == 2 {
		sync = 0x20
	}
	if tid == 2 {
		first |= 0x20
	}
	return []byte{first, 0xE0, 0x80 | byte(l.picture>>8), byte(l.picture), l.tl0, tid<<6 | sync, inverse, 0}
}

// walk looks at a stream as a decoder does.
type walk struct {
	t        *testing.T
	name     codec.Name
	begun    bool
	last     delivery
	shot     shot
	picture  uint16
	tl0      uint8
	keyAt    uint32
	whole    map[uint32]bool // frames of the present encoding since its key frame
	switches int
	frames   int
	shown    time.Time
	gap      time.Duration // the longest since the last call of resume
	dated    uint32        // the first frame's timestamp, less when it was taken
	skew     int32         // of the last
	steady   int           // how many frames in a row had the same
	skewed   int           // how many packets in a row were dated much later than they were taken
}

func (w *walk) packet(now time.Time, d delivery) {
	w.t.Helper()
	n := len(d.payload) - tagBytes
	tag := []byte(d.payload[n:])
	s := shot{tag[0], tag[1], tag[2], tag[3], binary.BigEndian.Uint32(tag[4:]), binary.BigEndian.Uint32(tag[8:])}
	w.date(s, d)
	if w.begun && d.Seq != w.last.Seq+1 {
		w.t.Fatalf("sequence number %d after %d", d.Seq, w.last.Seq)
	}
	if s.packet == 0 {
		w.begin(s, d)
	} else if s.frame != w.shot.frame || s.encoding != w.shot.encoding || s.packet != w.shot.packet+1 || d.Timestamp != w.last.Timestamp {
		w.t.Fatalf("%+v with timestamp %d after %+v with %d", s, d.Timestamp, w.shot, w.last.Timestamp)
	}
	if w.name == codec.VP8 {
		w.numbers(s, []byte(d.payload))
	}
	w.begun, w.last, w.shot = true, d, s
	if s.packet == s.packets-1 {
		w.whole[s.frame] = true
		w.frames++
		if !w.shown.IsZero() {
			w.gap = max(w.gap, now.Sub(w.shown))
		}
		w.shown = now
	}
}

// date checks that pictures are as far apart as they were taken, but for a few that had to wait.
func (w *walk) date(s shot, d delivery) {
	w.t.Helper()
	if !w.begun {
		w.dated = d.Timestamp - s.taken
	}
	was := w.skew
	w.skew = int32(d.Timestamp - w.dated - s.taken)
	if diff := w.skew - was; diff > 90 || diff < -90 {
		w.steady = 0
	} else if s.packet == 0 {
		w.steady++
	}
	if w.skewed++; w.skew <= 4500 {
		w.skewed = 0
	}
	if w.frames > 60 && (w.skew < -4500 || w.skewed > 60) {
		w.t.Fatalf("%+v is dated %d units from when it was taken", s, w.skew)
	}
}

// begin checks that everything a new frame refers to is there.
func (w *walk) begin(s shot, d delivery) {
	w.t.Helper()
	var p codec.Packet
	p.Payload = []byte(d.payload)
	if err := p.ParsePayload(w.name); err != nil {
		w.t.Fatal(err)
	}
	switched := p.KeyFrame && s.encoding != w.shot.encoding // the frame before is not waited for
	if w.begun && (int32(d.Timestamp-w.last.Timestamp) <= 0 || w.shot.packet != w.shot.packets-1 && !switched) {
		w.t.Fatalf("%+v with timestamp %d after %+v with %d", s, d.Timestamp, w.shot, w.last.Timestamp)
	}
	if p.KeyFrame {
		if w.begun && s.encoding != w.shot.encoding {
			w.switches++
		}
		w.whole, w.keyAt = map[uint32]bool{}, s.frame
		return
	}
	if !w.begun || s.encoding != w.shot.encoding {
		w.t.Fatalf("%+v begins without a key frame", s)
	}
	refs := []uint32{1}
	if w.name == codec.VP8 {
		_, all := pattern()
		refs = all[(s.frame-w.keyAt)%8]
	}
	for _, back := range refs {
		if s.frame-back >= w.keyAt && !w.whole[s.frame-back] {
			w.t.Fatalf("%+v refers to frame %d, which is not there", s, s.frame-back)
		}
	}
}

// numbers checks the VP8 numbers.
func (w *walk) numbers(s shot, b []byte) {
	w.t.Helper()
	picture, tl0 := binary.BigEndian.Uint16(b[2:])&0x7fff, b[4]
	wantPicture, wantTL0 := w.picture, w.tl0
	if s.packet == 0 {
		wantPicture = (w.picture + 1) & 0x7fff
		if s.tid == 0 {
			wantTL0++
		}
	}
	if w.begun && (picture != wantPicture || tl0 != wantTL0) {
		w.t.Fatalf("%+v has picture %d and TL0PICIDX %d, want %d and %d", s, picture, tl0, wantPicture, wantTL0)
	}
	w.picture, w.tl0 = picture, tl0
}

// A thousand random switches for each codec, walked through as a decoder does: no break in any number, no
// missing reference, no timestamp that goes back or drifts from when the picture was taken, and never
// 200 ms without a frame but for what was granted.
func TestThousandSwitches(t *testing.T) {
	for _, name := range []codec.Name{codec.VP8, codec.H264} {
		t.Run(name.String(), func(t *testing.T) {
			onStage(t, func(s *stage) { play(t, s, name, rand.New(rand.NewPCG(6, uint64(name)))) })
		})
	}
}

func play(t *testing.T, s *stage, name codec.Name, rng *rand.Rand) {
	a, b := s.enter("a"), s.enter("b")
	s.admit("a", "b")
	pub := a.publications["c"]
	sub := (*pub.subscribers.Load())[0]
	now := time.Now()
	var lenses []*lens
	for i, rid := range []string{"q", "h", "f"} {
		lenses = append(lenses, &lens{
			e: pub.open(rid), name: name, index: uint8(i), keyDue: true,
			seq: uint16(rng.Uint32()), ts: rng.Uint32(), picture: uint16(rng.Uint32()), tl0: uint8(rng.Uint32()),
		})
	}
	w := &walk{t: t, name: name}
	var longest, apart time.Duration
	next, taken := 30, uint32(0)
	for n := 0; w.switches < 1000; n++ {
		now, taken = now.Add(frameTime), taken+3000
		if n > 100_000 {
			t.Fatalf("%d switches in 100,000 frames", w.switches)
		}
		for _, l := range lenses {
			if n%30 == 1 {
				pub.senderReported(now, now, &rtcp.SenderReport{SSRC: uint32(l.index) + 1, NTPTime: forward.NTP(now), RTPTime: l.ts + taken})
			}
			l.shoot(now, taken, sub.slot.rewriter.Current() == l.e.stream)
			l.arrive(t, now)
		}
		if n%3 == 0 {
			pub.control(now, false)
		}
		for _, d := range b.sent["v0"] {
			w.packet(now, d)
		}
		delete(b.sent, "v0")
		if g := sub.grant.Load(); g.Mode == layers.Frames {
			longest = max(longest, w.gap)
		} else {
			w.shown = time.Time{}
		}
		w.gap = 0
		if n >= next {
			next = n + 5 + rng.IntN(25)
			grantAnything(sub, lenses, rng)
			pub.requestKeyFrame(now, sub)
		}
		answer(a, lenses, now)
		if off, ok := reported(sub.slot, now, w, taken); ok {
			apart = max(apart, off)
		}
	}
	if apart > 5*time.Millisecond {
		t.Errorf("pictures and the clock that sender reports tell are %v apart", apart)
	}
	if longest > 200*time.Millisecond {
		t.Errorf("%v without a frame", longest)
	}
	skew := time.Duration(w.skew) * time.Second / 90_000
	t.Logf("figure: %v: %d switches in %d frames, longest gap %v, dated %v off at the end; sender reports %v off at most", name, w.switches, w.frames, longest.Round(time.Millisecond), skew, apart)
}

// reported is how far the slot's sender report of now is from when the last picture was taken, at taken: what it adds to
// the distance of sound and lips. False where that picture had to be dated later because it waited.
func reported(s *slot, now time.Time, w *walk, taken uint32) (time.Duration, bool) {
	r, ok := s.senderReport(now)
	if !ok || w.steady < 2 || w.frames < 100 {
		return 0, false
	}
	off := int32(r.RTPTime - w.last.Timestamp - (taken - w.shot.taken))
	return time.Duration(max(off, -off)) * time.Second / 90_000, true
}

// grantAnything grants what an allocator might, and a little else.
func grantAnything(sub *Subscription, lenses []*lens, rng *rand.Rand) {
	i := rng.IntN(3)
	g := layers.Grant{Encoding: i, Temporal: uint8(rng.IntN(3)), Next: -1, Rate: 100_000 << (2 * i), Reason: layers.ReasonSize}
	if rng.IntN(2) == 0 {
		g.Reason = layers.ReasonBudget
	}
	switch rng.IntN(20) {
	case 0:
		g.Mode, g.Encoding = layers.KeyFrames, 0
	case 1:
		g.Mode, g.Encoding = layers.Nothing, 0
	}
	sub.grant.Store(&Grant{Grant: g, Stream: lenses[g.Encoding].e.stream})
}

// answer lets the encoders hear what they were asked for.
func answer(a *actor, lenses []*lens, now time.Time) {
	for _, p := range a.rtcp {
		if pli, ok := p.(*rtcp.PictureLossIndication); ok {
			if l := lenses[pli.MediaSSRC-1]; now.Sub(l.keyed) >= deafness {
				l.keyDue = true
			}
		}
	}
	a.rtcp = nil
}
