package sfu

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// burst gives the one encoding of an actor's camera packets of VP8, as the transport does before the burst is
// over, and returns the memory that they are in.
func (a *actor) burst(n int) (e *encoding, memory [][]byte) {
	a.s.t.Helper()
	a.Peer.mu.Lock()
	e = a.publications["c"].encodings[0]
	a.Peer.mu.Unlock()
	for range n {
		a.seqs["c"]++
		b := append(make([]byte, 12, 100), delta+fmt.Sprint(a.seqs["c"])...)
		b[0], b[1] = 0x80, 0x80|96
		binary.BigEndian.PutUint16(b[2:], a.seqs["c"])
		binary.BigEndian.PutUint32(b[4:], uint32(a.seqs["c"])*3000)
		binary.BigEndian.PutUint32(b[8:], ssrcOf("c", ""))
		var p codec.Packet
		if err := p.Parse(b); err != nil {
			a.s.t.Fatal(err)
		}
		if err := p.ParsePayload(codec.VP8); err != nil {
			a.s.t.Fatal(err)
		}
		e.RTP(time.Now(), codec.VP8, &p, false)
		memory = append(memory, b)
	}
	return e, memory
}

// What comes in one burst goes to everybody at its end, in order and unchanged; what is more than a burst
// holds goes before.
func TestBurst(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b", "c")
		a.publish("c", "", keyFrame)
		b.got("v0")
		c.got("v0")
		e, memory := a.burst(heldPackets + 3)
		if early := len(b.got("v0")); early != heldPackets {
			t.Errorf("%d packets went before the end of the burst, want %d", early, heldPackets)
		}
		c.got("v0")
		e.Flush()
		for _, m := range memory {
			clear(m) // the next burst
		}
		want := []string{delta + "18", delta + "19", delta + "20"}
		for _, x := range []*actor{b, c} {
			if got := payloads(x.got("v0")); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		e.Flush()
		if got := b.got("v0"); got != nil {
			t.Errorf("%d packets of a burst that is over", len(got))
		}
	})
}

// Who is muted, held or gone between a packet and the end of its burst is not forwarded.
func TestBurstThatEndsTooLate(t *testing.T) {
	for name, stop := range map[string]func(s *stage, a *actor){
		"muted": func(_ *stage, a *actor) { _ = a.Mute(context.Background(), "c", true) },
		"held":  func(s *stage, _ *actor) { s.admit("b") },
		"gone":  func(_ *stage, a *actor) { _ = a.Peer.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(s *stage) {
				a, b := s.enter("a"), s.enter("b")
				s.admit("a", "b")
				a.publish("c", "", keyFrame)
				b.got("v0")
				e, _ := a.burst(3)
				stop(s, a)
				s.advance(0)
				e.Flush()
				if got := b.got("v0"); got != nil {
					t.Errorf("%d packets", len(got))
				}
			})
		})
	}
}
