package layers_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/layers"
)

var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// publication plays the encodings of one publication.
type publication struct {
	t         *testing.T
	encodings []layers.Encoding
	bytes     []int // of one packet of each
	ms        int
}

func newPublication(t *testing.T, rids ...string) *publication {
	t.Helper()
	p := &publication{t: t}
	for i, rid := range rids {
		p.encodings = append(p.encodings, layers.NewEncoding(rid))
		p.bytes = append(p.bytes, 100<<(2*i))
	}
	return p
}

// play sends a packet of each of those encodings every interval for a while, and after each packet
// wants the same encoding to be the highest.
func (p *publication) play(ms, interval int, which []int, want int) {
	p.t.Helper()
	for end := p.ms + ms; p.ms < end; p.ms += interval {
		for _, i := range which {
			p.encodings[i].Packet(epoch.Add(time.Duration(p.ms)*time.Millisecond), p.bytes[i])
			if got := layers.Highest(p.encodings); got != want {
				p.t.Fatalf("at %d ms: %d, want %d", p.ms, got, want)
			}
		}
	}
}

func TestNothingSent(t *testing.T) {
	if got := layers.Highest(nil); got != -1 {
		t.Errorf("no encodings: %d", got)
	}
	p := newPublication(t, "q", "h", "f")
	if got := layers.Highest(p.encodings); got != -1 {
		t.Errorf("none sent: %d", got)
	}
}

func TestHighestThatIsSent(t *testing.T) {
	p := newPublication(t, "f", "q", "h")
	p.play(100, 33, []int{1}, 1)
	p.play(99, 33, []int{2, 1}, 2)
	p.play(99, 33, []int{0, 1, 2}, 0)
}

// A layer that the browser stops is left after 500 ms, one whose packets are lost for less is not.
func TestSilence(t *testing.T) {
	p := newPublication(t, "q", "h", "f")
	p.play(1000, 10, []int{2, 1, 0}, 2) // the last at 990
	p.play(490, 10, []int{1, 0}, 2)
	p.play(500, 10, []int{1, 0}, 1)
	p.play(100, 10, []int{2, 1, 0}, 2)
}

// A muted camera sends nothing at all: nothing is to be switched.
func TestMutedStaysWhereItWas(t *testing.T) {
	p := newPublication(t, "q", "h", "f")
	p.play(1000, 10, []int{2, 1, 0}, 2)
	p.ms += 3600_000
	if got := layers.Highest(p.encodings); got != 2 {
		t.Errorf("after an hour: %d, want 2", got)
	}
	p.play(10, 10, []int{2, 0, 1}, 2)
}

// Browsers repeat a screen on which nothing moves once a second, lowest encoding first.
func TestStillScreen(t *testing.T) {
	p := newPublication(t, "q", "f")
	p.play(1000, 33, []int{1, 0}, 1)
	p.play(20000, 1000, []int{0, 1}, 1)
	// Its higher encoding stops: found out from frames that are far apart, too.
	p.play(2000, 1000, []int{0}, 1)
	p.play(5000, 1000, []int{0}, 0)
}

// Without known RIDs bit rates tell, once there are any; before, the order of the offer.
func TestUnknownRIDs(t *testing.T) {
	p := newPublication(t, "0", "1", "2")
	p.play(1000, 50, []int{0, 1, 2}, 0)
	p.play(1, 1, []int{2}, 2)
	p.play(3000, 50, []int{0, 1, 2}, 2)
	if got, want := p.encodings[1].Bitrate(), 20*400*8; got != want {
		t.Errorf("bit rate %d, want %d", got, want)
	}
}

// Bit rates that are about the same do not change the order.
func TestUnknownRIDsAlike(t *testing.T) {
	p := newPublication(t, "a", "b")
	p.bytes = []int{100, 140}
	p.play(5000, 50, []int{0, 1}, 0)
}
