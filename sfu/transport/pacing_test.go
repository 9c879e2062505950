package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/pace"
)

// opened opens what was sent, in the order of the wire.
func (e *established) opened(t *testing.T) (packets []rtp.Packet) {
	t.Helper()
	for _, b := range e.port.sent {
		plain, err := e.open.DecryptRTP(nil, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		var p rtp.Packet
		if err := p.Unmarshal(plain); err != nil {
			t.Fatal(err)
		}
		packets = append(packets, p)
	}
	e.port.sent = nil
	return packets
}

// frame writes n packets of 1,000 bytes, of which the first has number seq, and a packet of sound behind them.
func (e *established) frame(t *testing.T, now time.Time, seq uint16, n int) {
	t.Helper()
	sound, slot := e.negotiation.slots[0], e.negotiation.slots[2]
	for i := range uint16(n) {
		payload := bytes.Repeat([]byte{byte(seq + i)}, 1000)
		o := Outgoing{Codec: codec.VP8, Seq: seq + i, Timestamp: 3000 * uint32(seq), Marker: i == uint16(n-1), At: now}
		if err := slot.Write(o, payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := sound.Write(Outgoing{Codec: codec.Opus, Seq: seq, Timestamp: 960 * uint32(seq), At: now}, []byte("sound")); err != nil {
		t.Fatal(err)
	}
}

// What fits leaves as it would without pacing, to the bit.
func TestPacingOfAWidePath(t *testing.T) {
	var sent [][][]byte
	for _, rate := range []int{0, 20_000_000} {
		r := &recorder{}
		e := establish(t, r)
		for _, s := range e.negotiation.slots {
			s.ssrc, s.rtxSSRC = 1000+uint32(s.Index)+100*uint32(s.Kind), 2000+uint32(s.Index)
		}
		e.Pace(rate, r)
		now := e.engine.o.Clock()
		for i := range 100 {
			e.frame(t, now.Add(time.Duration(i)*33*time.Millisecond), uint16(10*i+1), 10)
		}
		if e.Release(now) {
			t.Error("something waits")
		}
		sent = append(sent, e.port.sent)
	}
	if len(sent[0]) != 1100 || !slices.EqualFunc(sent[0], sent[1], bytes.Equal) {
		t.Errorf("%d datagrams without pacing, %d with, or others", len(sent[0]), len(sent[1]))
	}
}

// On a narrow path the sound goes first, the rest follows in order, once, and is numbered in the order of the
// wire.
func TestPacingOfANarrowPath(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	e.Pace(1_000_000, r)
	now := e.engine.o.Clock()
	e.frame(t, now, 65530, 10)
	slot := e.negotiation.slots[2]
	if err := slot.WriteRTX(Outgoing{Codec: codec.VP8, Seq: 1, At: now}, []byte{0xff, 0x00, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if r.waits != 1 {
		t.Errorf("told %d times that something waits, want once", r.waits)
	}
	early := e.opened(t)
	if len(early) != 3 || early[2].SSRC != e.negotiation.slots[0].ssrc {
		t.Fatalf("%d packets at once, want two of the picture and the sound", len(early))
	}
	for seq, want := range map[uint16]bool{65531: false, 65532: true, 65535: true, 3: true, 4: false, 0xff00: true} {
		if got := slot.Holds(seq); got != want {
			t.Errorf("holds %d: %v, want %v", seq, got, want)
		}
	}
	if packets, octets := slot.Sent(); packets != 2 || octets != 2000 {
		t.Errorf("%d packets of %d bytes were sent, want 2 of 2,000", packets, octets)
	}
	steps := 0
	for e.Release(now.Add(time.Duration(steps) * pace.Grain)) {
		if steps++; steps > 100 {
			t.Fatal("something waits for ever")
		}
	}
	if steps < 12 || steps > 16 { // 9 packets of 1,000 bytes at 1.1 Mbit/s, of which 20 ms at once
		t.Errorf("the rest took %d steps", steps)
	}
	late := e.opened(t)
	if len(late) != 9 || late[0].SSRC != slot.rtxSSRC {
		t.Fatalf("%d packets late, want the retransmission and eight", len(late))
	}
	for i, p := range append(early, late...) {
		if number := binary.BigEndian.Uint16(p.GetExtension(3)); number != uint16(i+1) {
			t.Errorf("packet %d on the wire has number %d", i, number)
		}
	}
	for i, p := range late[1:] {
		if want := uint16(i - 4); p.SequenceNumber != want || !bytes.Equal(p.Payload, bytes.Repeat([]byte{byte(want)}, 1000)) || p.Marker != (i == 7) {
			t.Errorf("packet %d: number %d, marker %v, payload of %d", i, p.SequenceNumber, p.Marker, p.Payload[0])
		}
	}
}

// Who is not to be seen any more is not seen, whatever waits of them.
func TestDrop(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	e.Pace(1_000_000, r)
	now := e.engine.o.Clock()
	e.frame(t, now, 1, 10)
	slot, other := e.negotiation.slots[2], e.negotiation.slots[3]
	if err := other.Write(Outgoing{Codec: codec.VP8, Seq: 7, At: now}, []byte(vp8)); err != nil {
		t.Fatal(err)
	}
	if err := slot.WriteRTX(Outgoing{Codec: codec.VP8, Seq: 1, At: now}, []byte{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	e.opened(t)
	if n := slot.Drop(); n != 8 {
		t.Errorf("%d packets dropped, want 8 and a retransmission", n)
	}
	if n := slot.Drop(); n != 0 {
		t.Errorf("%d packets dropped once more", n)
	}
	if e.Release(now.Add(time.Second)) {
		t.Error("something waits")
	}
	if got := e.opened(t); len(got) != 1 || got[0].SSRC != other.ssrc {
		t.Errorf("%d packets left, want that of the other slot", len(got))
	}
}

// When too much waits pictures are refused, the sound is not.
func TestFull(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	e.Pace(40_000, r)
	now := e.engine.o.Clock()
	slot, sound := e.negotiation.slots[2], e.negotiation.slots[0]
	var err error
	n := uint16(0)
	for ; err == nil && n < 1000; n++ {
		err = slot.Write(Outgoing{Codec: codec.VP8, Seq: n, At: now}, make([]byte, 1000))
	}
	if !errors.Is(err, ErrFull) || int(n) > pace.MaxBytes/1000+2 {
		t.Errorf("after %d packets: %v", n, err)
	}
	e.port.sent = nil
	if err := sound.Write(Outgoing{Codec: codec.Opus, Seq: 1, At: now}, []byte("sound")); err != nil || len(e.port.sent) != 1 {
		t.Errorf("sound: %v, %d datagrams", err, len(e.port.sent))
	}
	if n := slot.Drop(); n < 100 {
		t.Errorf("%d packets waited", n)
	}
	if err := slot.Write(Outgoing{Codec: codec.VP8, Seq: 2000, At: now}, make([]byte, 1000)); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

// A probe sends at its rate, whatever the estimate.
func TestProbeIsNotHeldBack(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	e.Pace(100_000, r)
	e.MarkProbe(1, 2_000_000)
	now := e.engine.o.Clock()
	for i := range 20 { // 1.6 Mbit/s
		e.frame(t, now.Add(time.Duration(i)*5*time.Millisecond), uint16(i), 1)
	}
	if len(e.port.sent) != 40 {
		t.Errorf("%d packets left, want 40", len(e.port.sent))
	}
	e.MarkProbe(0, 0)
	e.frame(t, now.Add(100*time.Millisecond), 100, 2)
	if !e.Release(now.Add(100 * time.Millisecond)) {
		t.Error("after the probe nothing waits")
	}
}

// When nothing needs to wait any more, what waits does not leave in one burst.
func TestPacingEndsGently(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	e.Pace(1_000_000, r)
	now := e.engine.o.Clock()
	e.frame(t, now, 0, 10)
	e.Pace(0, r)
	e.port.sent = nil
	e.Release(now.Add(pace.Grain))
	if len(e.port.sent) > 1 {
		t.Errorf("%d packets left at once", len(e.port.sent))
	}
	for i := 2; e.Release(now.Add(time.Duration(i) * pace.Grain)); i++ {
		if i > 100 {
			t.Fatal("something waits for ever")
		}
	}
	e.Pace(0, r)
	e.port.sent = nil
	e.frame(t, now, 10, 100)
	if len(e.port.sent) != 101 {
		t.Errorf("%d packets left, want all 101", len(e.port.sent))
	}
}

// What fits allocates nothing.
func TestPacingAllocatesNothing(t *testing.T) {
	r := &recorder{}
	e := establish(t, &sunk{})
	e.engine.o.Port = drop{}
	e.Pace(2_000_000, r)
	now := e.engine.o.Clock()
	sound, slot := e.negotiation.slots[0], e.negotiation.slots[2]
	payload := make([]byte, 1000)
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		now = now.Add(10 * time.Millisecond)
		_ = slot.Write(Outgoing{Codec: codec.VP8, Seq: seq, At: now}, payload)
		_ = sound.Write(Outgoing{Codec: codec.Opus, Seq: seq, At: now}, payload[:60])
	}); n != 0 {
		t.Errorf("two packets allocate %v times", n)
	}
	if e.Release(now) {
		t.Error("something waits: the test tests something else")
	}
}
