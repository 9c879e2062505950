package sfu

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// say publishes one packet of speech.
func (a *actor) say(text string) { a.send1("m", "", text, 100) }

// loses tells that of the last 50 packets so many were lost, and lets the server decide.
func (a *actor) loses(n uint16) {
	a.s.t.Helper()
	x := &twcc.Feedback{Packets: make([]twcc.Packet, 50)}
	for i := range x.Packets[:50-n] {
		x.Packets[i].Came = true
	}
	a.Feedback(time.Now(), x)
	a.s.advance(reportInterval + controlInterval)
}

// inSlot tells what the packets of a slot carried, oldest first.
func (a *actor) inSlot(mid string) string {
	a.s.t.Helper()
	var out []string
	for _, d := range a.got(mid) {
		if d.Blocks == 0 {
			out = append(out, d.payload)
			continue
		}
		b := []byte(d.payload)
		codec.SetREDType(b, d.Blocks, 111)
		var r codec.RED
		if err := r.Parse(b, 111); err != nil {
			a.s.t.Fatal(err)
		}
		var parts []string
		for _, x := range r.Blocks() {
			parts = append(parts, string(x.Payload))
		}
		out = append(out, fmt.Sprintf("%s(%s)", r.Primary, strings.Join(parts, " ")))
	}
	return strings.Join(out, " ")
}

func TestAudioIsRepeatedToWhoLosesIt(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b", "c")
		for _, x := range []string{"one", "two", "three"} {
			a.say(x)
		}
		b.loses(5)
		c.inSlot("a0")
		if got := b.inSlot("a0"); got != "one two three" {
			t.Errorf("before any loss: %s", got)
		}
		a.say("four")
		a.say("five")
		if got, want := b.inSlot("a0"), "four(one three) five(two four)"; got != want {
			t.Errorf("who loses a tenth got %s, want %s", got, want)
		}
		if got, want := c.inSlot("a0"), "four five"; got != want {
			t.Errorf("who loses nothing got %s, want %s", got, want)
		}
		if got := s.metric("bedside_audio_redundant_total", ""); got != 2 {
			t.Errorf("%v packets counted, want 2", got)
		}
	})
}

// What was said before somebody was let in is not in what they get after, however much they lose; nor is
// what was said in a mute.
func TestNothingOfBeforeIsRepeated(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a")
		for _, x := range []string{"secret", "still"} {
			a.say(x)
		}
		b.loses(5)
		s.admit("a", "b")
		for _, x := range []string{"hello", "and", "good", "morning"} {
			a.say(x)
		}
		if got, want := b.inSlot("a0"), "hello and good morning(hello good)"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if err := a.Mute(t.Context(), "m", true); err != nil {
			t.Fatal(err)
		}
		a.say("aside")
		if err := a.Mute(t.Context(), "m", false); err != nil {
			t.Fatal(err)
		}
		for _, x := range []string{"back", "here", "once", "again"} {
			a.say(x)
		}
		if got, want := b.inSlot("a0"), "back here once again(back once)"; got != want {
			t.Errorf("after a mute got %s, want %s", got, want)
		}
	})
}

// What is repeated is in the room that is kept for sound.
func TestRepeatedAudioIsPlannedFor(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.say("one")
		kept := func() (copies, rate int) {
			slot := b.slots[0]
			frames, copies := slot.wrapping(0)
			return copies, slot.holder().publication.soundRate(frames, copies)
		}
		if copies, rate := kept(); copies != 0 || rate != 46_400 {
			t.Errorf("before any loss %d copies and %d bit/s", copies, rate)
		}
		b.loses(5)
		if copies, rate := kept(); copies != 2 || rate != 46_400+2*25_600 {
			t.Errorf("after 10 %% of loss %d copies and %d bit/s", copies, rate)
		}
	})
}

// A stethoscope keeps its rate on a path on which voices are asked for less.
func TestStethoscopeIsPlannedForWhole(t *testing.T) {
	if rate := (&Publication{source: codec.Auscultation}).soundRate(1, 0); rate != 86_400 {
		t.Errorf("%d bit/s, want 64,000 and 22,400 of headers", rate)
	}
}

// losesInBursts tells that of 50 packets 20 ms apart, three in a row were lost every ten.
func (a *actor) losesInBursts(seq *uint16) {
	x := &twcc.Feedback{Base: *seq, Reference: uint32(*seq) * 20 / 64}
	last := int64(x.Reference) * 64
	for i := range uint16(50) {
		var p twcc.Packet
		if i%10 < 5 || i%10 >= 8 {
			at := int64(*seq+i) * 20
			p = twcc.Packet{Came: true, Delta: int16(at-last) * 4}
			last = at
		}
		x.Packets = append(x.Packets, p)
	}
	*seq += 50
	a.Feedback(time.Now(), x)
	a.s.advance(reportInterval)
}
