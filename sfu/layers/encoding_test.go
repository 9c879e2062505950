package layers_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/layers"
)

var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// at is so many milliseconds into a test.
func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

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
			p.encodings[i].Packet(at(p.ms), &codec.Packet{Size: p.bytes[i], Timestamp: uint32(p.ms)})
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
	rates, top := p.encodings[1].Rates()
	if want := 20 * (400 + 44) * 8; top != 0 || rates[0] != want || rates[2] != want {
		t.Errorf("bit rates %d up to layer %d, want %d", rates, top, want)
	}
}

// Bit rates that are about the same do not change the order.
func TestUnknownRIDsAlike(t *testing.T) {
	p := newPublication(t, "a", "b")
	p.bytes = []int{100, 140}
	p.play(5000, 50, []int{0, 1}, 0)
}

// Rates are told by temporal layer, grow at once, fall slowly, and know nothing of key frames.
func TestRates(t *testing.T) {
	e := layers.NewEncoding("h")
	second := 0
	play := func(size int) {
		for i := range 20 {
			ts := uint32(second*20 + i)
			p := &codec.Packet{Size: size, Timestamp: ts, VP8: codec.Descriptor{TID: [...]uint8{0, 2, 1, 2}[i%4]}}
			if i == 4 {
				e.Packet(at(second*1000+i*50), &codec.Packet{Size: 9000, Timestamp: ts, KeyFrame: true})
			}
			e.Packet(at(second*1000+i*50), p)
		}
		second++
	}
	if rates, _ := e.Rates(); rates[2] != 260_000 {
		t.Errorf("before anything came: %d, want what h takes at most", rates)
	}
	play(956)
	play(956)
	want := [3]int{4 * 8000, 9 * 8000, 19 * 8000} // one of the five of layer 0 belongs to a key frame
	if got, top := e.Rates(); got != want || top != 2 {
		t.Errorf("%d up to layer %d, want %d up to 2", got, top, want)
	}
	play(1956)
	play(1956)
	if got, _ := e.Rates(); got != [3]int{8 * 8000, 18 * 8000, 38 * 8000} {
		t.Errorf("%d after twice as much, want it all", got)
	}
	play(956)
	play(956)
	if got, _ := e.Rates(); got[2] <= 30*8000 || got[2] >= 36*8000 {
		t.Errorf("%d right after half as much, want a sixth less of the difference", got)
	}
}

// Of an encoding with a name that has not been measured for long it is known what it will come to: its bitrate, and
// headers of 56 bytes 30 times a second. One that comes again is young again.
func TestFull(t *testing.T) {
	for _, c := range []struct {
		rid  string
		full int
	}{{"h", 260_000 + 13_440}, {"other", 0}, {"", 0}} {
		p := newPublication(t, c.rid)
		for _, step := range []struct{ pause, ms, full int }{{0, 500, c.full}, {0, 9000, c.full}, {0, 1500, 0}, {5000, 1000, c.full}} {
			p.ms += step.pause
			p.play(step.ms, 33, []int{0}, 0)
			if got := layers.Ladder(nil, p.encodings)[0].Full; got != step.full {
				t.Errorf("%q after %d ms: %d, want %d", c.rid, p.ms, got, step.full)
			}
		}
	}
}
