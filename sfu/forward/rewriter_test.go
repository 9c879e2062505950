package forward_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
)

// slot is a Rewriter under test.
type slot struct {
	t *testing.T
	w forward.Rewriter
}

// newSlot returns a slot whose first packet leaves as 1000, 5000, picture 77, TL0PICIDX 200.
func newSlot(t *testing.T) *slot {
	t.Helper()
	return &slot{t, forward.NewRewriter(90000, 1000, 5000, 77, 200)}
}

// send wants the packet forwarded and returns how it leaves.
func (s *slot) send(ms int, from forward.Stream, c codec.Name, p *codec.Packet, newest bool) forward.Out {
	s.t.Helper()
	var out forward.Out
	if v := s.w.Forward(at(ms), from, c, p, newest, &out); v != forward.Forwarded {
		s.t.Fatalf("packet %d of stream %d: %v", p.Seq, from, v)
	}
	return out
}

// refuse wants the packet dropped with that verdict.
func (s *slot) refuse(ms int, from forward.Stream, p *codec.Packet, newest bool, want forward.Verdict) {
	s.t.Helper()
	var out forward.Out
	if v := s.w.Forward(at(ms), from, codec.VP8, p, newest, &out); v != want {
		s.t.Fatalf("packet %d of stream %d: %v, want %v", p.Seq, from, v, want)
	}
}

// numbers are what a subscriber sees of a packet.
type numbers struct {
	seq       uint16
	timestamp uint32
	picture   uint16
	tl0       uint8
	switched  bool
}

func of(o forward.Out) numbers {
	return numbers{o.Seq, o.Timestamp, o.PictureID, o.TL0PICIDX, o.Switched}
}

func (s *slot) want(o forward.Out, w numbers) {
	s.t.Helper()
	if of(o) != w {
		s.t.Fatalf("left as %+v, want %+v", of(o), w)
	}
}

// All four numbers go on over a switch, and the timestamps by the time
// that passed.
func TestSwitchIsContinuous(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.want(s.send(0, 1, codec.VP8, vp8(40000, 900000, true, 12, 3), true), numbers{1000, 5000, 77, 200, true})
	s.want(s.send(33, 1, codec.VP8, vp8(40001, 903000, false, 13, 4), true), numbers{1001, 8000, 78, 201, false})
	s.w.Target(2)
	s.want(s.send(66, 1, codec.VP8, vp8(40002, 906000, false, 14, 5), true), numbers{1002, 11000, 79, 202, false})
	s.want(s.send(76, 2, codec.VP8, vp8(7, 333, true, 32000, 250), true), numbers{1003, 11900, 80, 203, true})
	s.want(s.send(109, 2, codec.VP8, vp8(8, 3333, false, 32001, 251), true), numbers{1004, 14900, 81, 204, false})
}

func TestNumbersWrap(t *testing.T) {
	s := &slot{t, forward.NewRewriter(90000, 0xFFFF, 0xFFFFFFFF, 0x7FFF, 0xFF)}
	s.w.Target(1)
	s.want(s.send(0, 1, codec.VP8, vp8(0xFFFF, 0xFFFFF000, true, 0x7FFF, 0xFF), true), numbers{0xFFFF, 0xFFFFFFFF, 0x7FFF, 0xFF, true})
	s.want(s.send(33, 1, codec.VP8, vp8(0, 0xFFFFF000+3000, false, 0, 0), true), numbers{0, 2999, 0, 0, false})
	s.w.Target(2)
	s.want(s.send(43, 2, codec.VP8, vp8(5, 0, true, 0x7FFF, 0xFF), true), numbers{1, 3899, 1, 1, true})
	s.want(s.send(76, 2, codec.VP8, vp8(6, 3000, false, 0, 0), true), numbers{2, 6899, 2, 2, false})
}

// A publisher whose PictureIDs have 7 bits must get them back with 7, or packets change size.
func TestPictureIDKeepsItsWidth(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.want(s.send(0, 1, codec.VP8, vp8Short(1, 0, true, 126), true), numbers{1000, 5000, 77, 0, true})
	p := vp8Short(2, 3000, false, 127)
	was := bytes.Clone(p.Payload)
	out := s.send(33, 1, codec.VP8, p, true)
	s.want(out, numbers{1001, 8000, 78, 0, false})
	out.Patch(p.Payload)
	if want := []byte{0x90, 0x80, 78, 1}; !bytes.Equal(p.Payload, want) {
		t.Errorf("patched to %v, want %v", p.Payload, want)
	}
	out.Restore(p.Payload)
	if !bytes.Equal(p.Payload, was) {
		t.Errorf("restored to %v, want %v", p.Payload, was)
	}
	// It wraps at 7 bits, and the next stream goes on from there with 15.
	s.want(s.send(66, 1, codec.VP8, vp8Short(3, 6000, false, 0), true), numbers{1002, 11000, 79, 0, false})
	for i := range 60 {
		s.send(100, 1, codec.VP8, vp8Short(uint16(4+i), 9000, false, uint8(1+i)), true)
	}
	s.w.Target(2)
	if out := s.send(110, 2, codec.VP8, vp8(9, 0, true, 5, 5), true); out.PictureID != 140 {
		t.Errorf("picture %d after 139", out.PictureID)
	}
}

func TestPatchAndRestore(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	p := vp8(1, 0, true, 0x1234, 9)
	was := bytes.Clone(p.Payload)
	out := s.send(0, 1, codec.VP8, p, true)
	out.Patch(p.Payload)
	if want := []byte{0x90, 0xE0, 0x80, 77, 200, 0, 0, 0xAA}; !bytes.Equal(p.Payload, want) {
		t.Errorf("patched to %v, want %v", p.Payload, want)
	}
	out.Restore(p.Payload)
	if !bytes.Equal(p.Payload, was) {
		t.Errorf("restored to %v, want %v", p.Payload, was)
	}
}

// A key frame that is not new starts nothing, and nothing from before the switch
// comes after it.
func TestSwitchOnlyOnNewKeyFrame(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.refuse(0, 1, vp8(90, 0, false, 1, 1), true, forward.DropWaitKeyFrame)
	s.refuse(1, 1, vp8(50, 0, true, 0, 0), false, forward.DropWaitKeyFrame)
	s.refuse(2, 1, padding(91, 0), true, forward.DropWaitKeyFrame)
	s.send(3, 1, codec.VP8, vp8(100, 3000, true, 5, 5), true)
	s.refuse(4, 1, vp8(99, 0, false, 4, 4), false, forward.DropOld)
	s.refuse(5, 2, vp8(1, 0, true, 4, 4), true, forward.DropNotCurrent)
	if out := s.send(6, 1, codec.VP8, vp8(101, 3000, false, 5, 5), true); out.Seq != 1001 {
		t.Errorf("the next leaves as %d", out.Seq)
	}
}

// Chromium's probe repeats a key frame over RTX while the switch waits.
func TestProbeOfOldKeyFrameDoesNotSwitch(t *testing.T) {
	s := newSlot(t)
	r := forward.NewReceiver(90000)
	key := vp8(200, 0, true, 1, 1)
	r.Receive(at(0), key.Seq, key.Timestamp)
	for seq := uint16(201); seq < 341; seq++ {
		r.Receive(at(10), seq, 3000)
	}
	s.w.Target(1)
	a := r.Repair(at(20), key.Seq)
	if a != (forward.Arrival{Drop: true}) {
		t.Errorf("the probe is %+v", a)
	}
	s.refuse(20, 1, key, a.Newest, forward.DropWaitKeyFrame)
	next := vp8(341, 6000, true, 9, 9)
	s.want(s.send(30, 1, codec.VP8, next, r.Receive(at(30), next.Seq, next.Timestamp).Newest), numbers{1000, 5000, 77, 200, true})
}

// Padding leaves no hole, whatever comes late around it.
func TestPaddingLeavesNoHole(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(10, 0, true, 0, 0), true) // 1000
	s.refuse(1, 1, padding(11, 0), true, forward.DropPadding)
	s.refuse(1, 1, padding(12, 0), true, forward.DropPadding)
	steps := []struct {
		name   string
		packet *codec.Packet
		newest bool
		seq    uint16 // 0: DropDuplicate
	}{
		{"behind the padding", vp8(13, 3000, false, 1, 0), true, 1001},
		{"two ahead", vp8(16, 3000, false, 1, 0), true, 1004},
		{"late", vp8(14, 3000, false, 1, 0), false, 1002},
		{"the padding again", padding(12, 0), false, 0},
		{"late padding fills the place it was given", padding(15, 3000), false, 1003},
		{"late padding again", padding(15, 3000), false, 0},
		{"and on", vp8(17, 6000, false, 2, 0), true, 1005},
	}
	for _, st := range steps {
		if st.seq == 0 {
			s.refuse(2, 1, st.packet, st.newest, forward.DropDuplicate)
			continue
		}
		if out := s.send(2, 1, codec.VP8, st.packet, st.newest); out.Seq != st.seq {
			t.Fatalf("%s: leaves as %d, want %d", st.name, out.Seq, st.seq)
		}
	}
}

// Padding may overtake media: what it overtook keeps its place in front of it.
func TestPaddingOvertakes(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(10, 0, true, 0, 0), true) // 1000
	s.refuse(1, 1, padding(13, 0), true, forward.DropPadding)
	if out := s.send(2, 1, codec.VP8, vp8(12, 3000, false, 1, 0), false); out.Seq != 1002 {
		t.Errorf("12 leaves as %d", out.Seq)
	}
	if out := s.send(2, 1, codec.VP8, vp8(14, 6000, false, 2, 0), true); out.Seq != 1003 {
		t.Errorf("14 leaves as %d", out.Seq)
	}
	if out := s.send(2, 1, codec.VP8, vp8(11, 3000, false, 1, 0), false); out.Seq != 1001 {
		t.Errorf("11 leaves as %d", out.Seq)
	}
}

// A burst of padding, as Chromium's probes are where RTX is not negotiated, takes one place in
// memory: what it overtook is still placed.
func TestPaddingBurst(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(10, 0, true, 0, 0), true) // 1000; 11 is missing
	for seq := uint16(12); seq < 212; seq++ {
		s.refuse(1, 1, padding(seq, 0), true, forward.DropPadding)
	}
	if out := s.send(2, 1, codec.VP8, vp8(212, 3000, false, 1, 0), true); out.Seq != 1002 {
		t.Errorf("212 leaves as %d, want 1002", out.Seq)
	}
	if out := s.send(3, 1, codec.VP8, vp8(11, 0, false, 0, 0), false); out.Seq != 1001 {
		t.Errorf("11 leaves as %d, want 1001", out.Seq)
	}
	s.refuse(4, 1, padding(100, 0), false, forward.DropDuplicate)
}

// More places are cut than are remembered: what comes late from before them is dropped, because
// its number is not known any more.
func TestForgottenCuts(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(10, 0, true, 0, 0), true) // 1000; 11 is missing
	seq := uint16(12)
	for i := range 40 {
		if i != 8 { // 28, behind the last cut that is forgotten
			s.send(0, 1, codec.VP8, vp8(seq, 0, false, 0, 0), true)
		}
		s.refuse(0, 1, padding(seq+1, 0), true, forward.DropPadding)
		seq += 2
	}
	s.refuse(0, 1, vp8(11, 0, false, 0, 0), false, forward.DropOld)
	if out := s.send(0, 1, codec.VP8, vp8(28, 0, false, 0, 0), false); out.Seq != 1010 {
		t.Errorf("28 leaves as %d, want 1010", out.Seq)
	}
	if out := s.send(0, 1, codec.VP8, vp8(seq, 0, false, 0, 0), true); out.Seq != 1042 {
		t.Errorf("the next leaves as %d, want 1042", out.Seq)
	}
}

// A number that left twice would be one AES-GCM nonce for two packets.
func TestNoNumberLeavesTwice(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(10, 0, true, 0, 0), true)
	s.send(0, 1, codec.VP8, vp8(12, 0, false, 0, 0), true)
	s.refuse(0, 1, vp8(12, 0, false, 0, 0), true, forward.DropDuplicate)
	s.refuse(0, 1, vp8(10, 0, true, 0, 0), false, forward.DropDuplicate)
	s.send(0, 1, codec.VP8, vp8(11, 0, false, 0, 0), false)
	s.refuse(0, 1, vp8(11, 0, false, 0, 0), false, forward.DropDuplicate)
	s.send(0, 1, codec.VP8, vp8(1100, 0, false, 0, 0), true)
	s.refuse(0, 1, vp8(13, 0, false, 0, 0), false, forward.DropOld)
}

// After a step larger than what is remembered, nothing of before may be taken for something after:
// 1034 has the place in memory that 10 had.
func TestLateAfterALargeStep(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(10, 0, true, 0, 0), true)
	s.send(0, 1, codec.VP8, vp8(2000, 0, false, 0, 0), true)
	if out := s.send(0, 1, codec.VP8, vp8(1034, 0, false, 0, 0), false); out.Seq != 2024 {
		t.Errorf("1034 leaves as %d, want 2024", out.Seq)
	}
}

func TestAudioSwitchesOnAnyPacket(t *testing.T) {
	s := &slot{t, forward.NewRewriter(48000, 1000, 5000, 0, 0)}
	s.w.Target(1)
	s.want(s.send(0, 1, codec.Opus, opus(9, 77), true), numbers{1000, 5000, 0, 0, true})
	s.w.Target(2)
	s.want(s.send(15, 2, codec.Opus, opus(500, 0), true), numbers{1001, 5720, 0, 0, true})
	s.want(s.send(35, 2, codec.Opus, opus(501, 960), true), numbers{1002, 6680, 0, 0, false})
}

// Another codec in the same slot. The picture ids go on when VP8 returns.
func TestSwitchOfCodec(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(1, 0, true, 0, 0), true)
	s.w.Target(2)
	s.refuse(10, 2, h264(50, 0, false), true, forward.DropWaitKeyFrame)
	s.want(s.send(20, 2, codec.H264, h264(51, 100, true), true), numbers{1001, 6800, 0, 0, true})
	s.w.Target(3)
	s.want(s.send(30, 3, codec.VP8, vp8(7, 9, true, 500, 6), true), numbers{1002, 7700, 78, 201, true})
}

func TestReassign(t *testing.T) {
	s := newSlot(t)
	if b := s.w.Reassign(at(0)); b != 5000 {
		t.Errorf("boundary of an unused slot: %d, want its first timestamp", b)
	}
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(1, 0, true, 0, 0), true) // leaves with 5000
	s.w.Target(3)
	if b := s.w.Reassign(at(0)); b != 5001 {
		t.Errorf("boundary at the same time: %d, want 5001", b)
	}
	if b := s.w.Reassign(at(100)); b != 14000 {
		t.Errorf("boundary after 100 ms: %d, want 14000", b)
	}
	if b := s.w.Reassign(at(-50)); b != 14000 {
		t.Errorf("boundary of a clock that goes back: %d, want 14000", b)
	}
	s.refuse(110, 1, vp8(2, 3000, false, 1, 1), true, forward.DropNotCurrent)
	if cur, pending := s.w.Current(), pendingOf(&s.w); cur != 0 || pending != 0 {
		t.Errorf("after Reassign: current %d, pending %d", cur, pending)
	}
	s.w.Target(2)
	if pending := pendingOf(&s.w); pending != 2 {
		t.Errorf("pending %d, want 2", pending)
	}
	if out := s.send(200, 2, codec.VP8, vp8(9, 0, true, 0, 0), true); out.Timestamp != 23000 {
		t.Errorf("first packet at %d, want 23000", out.Timestamp)
	}
}

func TestServerClockThatGoesBack(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(1, 0, true, 0, 0), true)
	s.send(100, 1, codec.VP8, vp8(2, 9000, false, 1, 1), true) // leaves with 14000
	s.w.Target(2)
	if out := s.send(50, 2, codec.VP8, vp8(1, 0, true, 0, 0), true); out.Timestamp != 14001 {
		t.Errorf("leaves at %d, want 14001", out.Timestamp)
	}
}

// A slot may be empty for a working day. Its timestamps must not seem to go back, which they would
// after 6.6 hours at 90 kHz.
func TestReassignAfterHours(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(1, 0, true, 0, 0), true)
	b := s.w.Reassign(epoch.Add(10 * time.Hour))
	if want := uint32(5000 + 3600*90000); b != want {
		t.Errorf("boundary after 10 h: %d, want %d, an hour on", b, want)
	}
	s.w.Target(2)
	var out forward.Out
	s.w.Forward(epoch.Add(20*time.Hour), 2, codec.VP8, vp8(9, 0, true, 0, 0), true, &out)
	if out.Timestamp != b {
		t.Errorf("first packet at %d, want the boundary %d", out.Timestamp, b)
	}
}

// One person may be in a slot for longer than half the range of timestamps.
func TestTimestampsOfALongCall(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	ts := uint32(0)
	s.send(0, 1, codec.VP8, vp8(1, ts, true, 0, 0), true)
	for i := range 60 {
		ts += 90000 * 600 // ten minutes in one step: the arithmetic is the same
		out := s.send(600000*(i+1), 1, codec.VP8, vp8(uint16(i+2), ts, false, 0, 0), true)
		if want := 5000 + ts; out.Timestamp != want {
			t.Fatalf("after %d min: %d, want %d", 10*(i+1), out.Timestamp, want)
		}
	}
}

// A publisher whose clock goes back must not fall below the boundary, where a page would not show
// it.
func TestTimestampThatGoesBack(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(1, 1000000, true, 0, 0), true) // 5000
	if out := s.send(100, 1, codec.VP8, vp8(2, 200, false, 1, 0), true); out.Timestamp != 14000 {
		t.Errorf("leaves at %d, want 14000", out.Timestamp)
	}
	if out := s.send(133, 1, codec.VP8, vp8(3, 3200, false, 2, 0), true); out.Timestamp != 17000 {
		t.Errorf("the next leaves at %d, want 17000", out.Timestamp)
	}
	// By little, but below the first of this stream's, 14000.
	if out := s.send(143, 1, codec.VP8, vp8(5, 100, false, 3, 0), true); out.Timestamp != 17900 {
		t.Errorf("leaves at %d, want 17900", out.Timestamp)
	}
	s.refuse(143, 1, vp8(4, 99, false, 3, 0), false, forward.DropOld)
	// By more than a second, long after.
	s.send(143, 1, codec.VP8, vp8(6, 100+10*90000, false, 4, 0), true)
	if out := s.send(153, 1, codec.VP8, vp8(7, 100+8*90000, false, 5, 0), true); out.Timestamp != 17900+10*90000+900 {
		t.Errorf("leaves at %d, want %d", out.Timestamp, 17900+10*90000+900)
	}
}

func TestPublisherNumbersAnew(t *testing.T) {
	s := newSlot(t)
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(40000, 0, true, 0, 0), true)
	s.refuse(10, 1, vp8(100, 0, false, 0, 0), false, forward.DropOld)
	s.refuse(10, 1, vp8(101, 0, false, 0, 0), true, forward.DropWaitKeyFrame)
	if pending := pendingOf(&s.w); pending != 1 {
		t.Errorf("pending %d, want 1", pending)
	}
	s.want(s.send(20, 1, codec.VP8, vp8(102, 9, true, 9, 9), true), numbers{1001, 6800, 78, 201, true})
}

func TestResync(t *testing.T) {
	s := newSlot(t)
	s.w.Resync()
	if pending := pendingOf(&s.w); pending != 0 {
		t.Errorf("an empty slot waits for %d", pending)
	}
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(1, 0, true, 0, 0), true)
	s.w.Resync()
	s.refuse(10, 1, vp8(500, 0, false, 0, 0), true, forward.DropWaitKeyFrame)
	if out := s.send(20, 1, codec.VP8, vp8(501, 0, true, 0, 0), true); out.Seq != 1001 {
		t.Errorf("goes on as %d, want 1001", out.Seq)
	}
	s.w.Target(2)
	s.w.Resync()
	if pending := pendingOf(&s.w); pending != 2 {
		t.Errorf("pending %d, want the target 2", pending)
	}
}

func TestTargetOfTheCurrentStopsWaiting(t *testing.T) {
	for _, back := range []forward.Stream{1, 0} {
		s := newSlot(t)
		s.w.Target(1)
		s.send(0, 1, codec.VP8, vp8(1, 0, true, 0, 0), true)
		s.w.Target(2)
		s.w.Target(back)
		s.refuse(1, 2, vp8(1, 0, true, 0, 0), true, forward.DropNotCurrent)
		s.send(1, 1, codec.VP8, vp8(2, 0, false, 0, 0), true)
	}
}

func TestSlotTimestamp(t *testing.T) {
	s := newSlot(t)
	if _, ok := s.w.SlotTimestamp(1); ok {
		t.Error("an empty slot has a timestamp")
	}
	s.w.Target(1)
	s.send(0, 1, codec.VP8, vp8(1, 100, true, 0, 0), true)
	if ts, ok := s.w.SlotTimestamp(400); ts != 5300 || !ok {
		t.Errorf("400 is %d, %t; want 5300", ts, ok)
	}
}

func pendingOf(w *forward.Rewriter) forward.Stream {
	s, ok := w.Pending()
	if ok != (s != 0) {
		panic("forward_test: Pending contradicts itself")
	}
	return s
}

func TestForwardDoesNotAllocate(t *testing.T) {
	w := forward.NewRewriter(90000, 1, 2, 3, 4)
	w.Target(1)
	p := vp8(1, 0, true, 0, 0)
	var out forward.Out
	n := testing.AllocsPerRun(1000, func() {
		if w.Forward(epoch, 1, codec.VP8, p, true, &out) != forward.Forwarded {
			t.Fatal("dropped")
		}
		out.Patch(p.Payload)
		out.Restore(p.Payload)
		p.Seq++
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkForward(b *testing.B) {
	b.ReportAllocs()
	w := forward.NewRewriter(90000, 1, 2, 3, 4)
	w.Target(1)
	p := vp8(1, 0, true, 0, 0)
	var out forward.Out
	for b.Loop() {
		w.Forward(epoch, 1, codec.VP8, p, true, &out)
		out.Patch(p.Payload)
		out.Restore(p.Payload)
		p.Seq++
	}
}
