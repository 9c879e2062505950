package sfu

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// asks asks for packets of the slot a0, as a client does.
func (a *actor) asks(seqs ...uint16) {
	a.RTCP(time.Now(), &rtcp.TransportLayerNack{MediaSSRC: 100, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs)})
}

// again returns what was sent again through the slot a0.
func (a *actor) again() (out []string) {
	for _, d := range a.got("a0") {
		if d.repeated {
			out = append(out, d.payload)
		}
	}
	return out
}

// numbers are those of the packets in the slot a0.
func (a *actor) numbers() (seqs []uint16) {
	for _, d := range a.got("a0") {
		seqs = append(seqs, d.Seq)
	}
	return seqs
}

func TestAudioIsSentAgain(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		s.advance(2 * reportInterval) // something to spare
		for _, x := range []string{"one", "two", "three"} {
			a.say(x)
		}
		seqs := b.numbers()
		b.asks(seqs[0], seqs[2])
		if got := b.again(); !slices.Equal(got, []string{"one", "three"}) {
			t.Errorf("sent again: %q", got)
		}
		b.asks(seqs[0])
		if got := b.again(); got != nil {
			t.Errorf("within a round trip once more: %q", got)
		}
		if got := s.metric("bedside_retransmitted_total", ""); got != 2 {
			t.Errorf("%v retransmitted, want 2", got)
		}
		b.loses(5)
		for _, x := range []string{"four", "five", "six", "seven"} {
			a.say(x)
		}
		seqs = b.numbers()
		b.asks(seqs[2]) // seven has come, and six with it
		b.asks(seqs[0], seqs[1])
		if got := b.again(); len(got) != 1 || !strings.HasSuffix(got[0], "onethreefour") {
			t.Errorf("of what is carried, sent again: %q", got)
		}
	})
}

// What somebody said who is not in the slot any more is not sent again, to nobody.
func TestNothingOfBeforeIsSentAgain(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		s.advance(2 * reportInterval)
		a.say("secret")
		seqs := b.numbers()
		s.admit("b")
		b.asks(seqs[0])
		if got := b.again(); got != nil {
			t.Errorf("of who has left: %q", got)
		}
		s.admit("a")
		b.asks(seqs[0])
		if got := b.again(); got != nil {
			t.Errorf("to who has left: %q", got)
		}
	})
}

// However much a client asks for, what it gets again is what the path has to spare.
func TestRepeatsAreBounded(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		n := 0
		for range 500 { // ten seconds
			s.advance(20 * time.Millisecond)
			a.say("word")
			for _, seq := range b.numbers() {
				b.asks(seq)
			}
			n += len(b.again())
		}
		// 16 kbit/s in repeats of 100 bytes, as the outlets of this stage say.
		if n < 150 || n > 210 {
			t.Errorf("%d packets of 500 sent again, want 200", n)
		}
	})
}

// What publishers lose is asked for where they have said that they send it again.
func TestPublishersAreAskedForAudio(t *testing.T) {
	for _, repeats := range []bool{true, false} {
		onStage(t, func(s *stage) {
			a, b := s.enter("a"), s.enter("b")
			a.publications["m"].asks = repeats
			s.admit("a", "b")
			a.say("one")
			a.seqs["m"] += 2
			a.say("four")
			asked := 0
			a.mu.Lock()
			for _, p := range a.rtcp {
				if x, ok := p.(*rtcp.TransportLayerNack); ok {
					for _, n := range x.Nacks {
						asked += len(n.PacketList())
					}
				}
			}
			a.mu.Unlock()
			if want := map[bool]int{true: 2, false: 0}[repeats]; asked != want {
				t.Errorf("with repeats %t asked for %d, want %d", repeats, asked, want)
			}
			a.seqs["m"] -= 2
			s.advance(50 * time.Millisecond)
			a.say("three") // the number of the third, late
			if got := b.inSlot("a0"); got != "one four three" {
				t.Errorf("handed on: %s", got)
			}
		})
	}
}
