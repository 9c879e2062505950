package redundancy

import (
	"time"

	"github.com/bedside-video/bedside/sfu/opus"
)

// From which loss on so many earlier packets are carried. Random loss p leaves p^(depth+1): 1.5 % with
// one, 0.8 % at 20 % with two, 0.8 % at 30 % with three.
const (
	one   = 0.02
	two   = 0.08
	three = 0.22
	// threeJoined is three where a packet has several frames: two that are lost in a row are a hole of 80 or 120 ms, and
	// another copy takes less than the headers that were saved.
	threeJoined = 0.14
	// less is the share of a threshold below which it counts as no longer reached, and patience how
	// long that must last: protection that comes and goes with every report would be missing when the
	// next loss comes.
	less     = 0.6
	patience = 8 * time.Second
	// retry is how long after there was no room for a depth more is tried than there is known to be.
	retry = 5 * time.Second
	// Losses as long as burstFrom are bursts, until they are shorter than burstTo: of single losses in
	// 20 ms of audio, one in five is 25 ms on average, and bursts of three are 60; in packets of several frames, so
	// many times as long.
	burstFrom = 40 * time.Millisecond
	burstTo   = 32 * time.Millisecond
)

// Path is what the estimate says of a path beside its rate.
type Path uint8

// The paths.
const (
	Open Path = iota
	Idle      // shows no queue: its rate is only what has been used so far
	Full      // has a queue that is too long, or loses more than usual
)

// Controller decides the pattern of one subscriber's audio. The zero value is ready, and sends none.
type Controller struct {
	depth  level
	wanted level // likewise, whatever there is room for
	far    bool
	again  time.Time // not before is more tried than there is known to be room for
}

// level is a depth that follows the loss.
type level struct {
	depth int
	low   time.Time // since when the loss is below what the depth is for; zero while it is not
}

// follow goes up at once, and down by one step when the loss has been lower for some time.
func (l *level) follow(now time.Time, loss float64, frames int) {
	switch {
	case wanted(loss, frames) > l.depth:
		l.depth, l.low = wanted(loss, frames), time.Time{}
	case l.depth == 0 || wanted(loss/less, frames) >= l.depth:
		l.low = time.Time{}
	case l.low.IsZero():
		l.low = now
	case now.Sub(l.low) >= patience:
		l.depth--
		l.low = now
	}
}

// Wanted is the depth that the loss calls for, whether or not there is room for it.
func (c *Controller) Wanted() int { return c.wanted.depth }

// Decide takes what the Meter says, the depth that there is room for, and how many frames a packet has. It goes up at once and down by
// one step when the loss has been lower for some time; what there is no room for is gone at once. On a
// full path it does not go up. On an idle one, where nothing waits and the room is only what has been used so
// far, one more is tried: a call with nothing but audio has no other way to find out.
func (c *Controller) Decide(now time.Time, m *Meter, room, frames int, path Path) Pattern {
	if path == Idle && !now.Before(c.again) {
		room++
	}
	if burst := m.Burst() / time.Duration(max(1, frames)); burst >= burstFrom {
		c.far = true
	} else if burst > 0 && burst < burstTo {
		c.far = false
	}
	was := c.depth.depth
	if loss, known := m.Loss(); known {
		c.depth.follow(now, loss, frames)
		if path == Full { // what is lost may be what is too much: more of it helps nobody
			c.depth.depth = min(c.depth.depth, was)
		}
		c.wanted.follow(now, loss, frames)
	}
	if c.depth.depth > room { // and it does not come back before the loss says so again
		c.depth = level{depth: max(room, 0)}
		if was > room {
			c.again = now.Add(retry)
		}
	}
	return of(c.depth.depth, c.far, frames)
}

func wanted(loss float64, frames int) int {
	switch {
	case loss >= three, loss >= threeJoined && frames > 1:
		return 3
	case loss >= two && frames < 3, loss >= 0.15:
		return 2
	case loss >= one:
		return 1
	}
	return 0
}

// Traffic is a subscriber's audio of one second, without redundancy.
type Traffic struct {
	Packets, Bytes int
	Sound          time.Duration // what the packets last
}

// Add adds one packet as it came.
func (t *Traffic) Add(payload []byte) {
	t.Packets++
	t.Bytes += len(payload)
	if d := opus.Duration(payload); d > 0 {
		t.Sound += d
	} else {
		t.Sound += frame
	}
}

// Joined is the traffic with packets of so many frames; what comes in longer ones stays as it is.
func (t Traffic) Joined(frames int) Traffic {
	t.Packets = min(t.Packets, joined(t.Sound, frames))
	return t
}

// joined is how many packets of so many frames a sound takes.
func joined(sound time.Duration, frames int) int {
	each := time.Duration(max(frames, 1)) * frame
	return int((sound + each - 1) / each)
}

const (
	// Overhead of a packet in bytes: IP 20, UDP 8, RTP 12, header extension 8, SRTP 16.
	Overhead = 64
	// unmeasured is the depth without a budget: with three, voice of 20 kbit/s would no longer fit into
	// 100 kbit/s.
	unmeasured = 2
)

// Room is the depth for which a budget in bit/s has room; 0 is an unknown budget.
func (t Traffic) Room(budget int) int {
	if budget == 0 {
		return unmeasured
	}
	for depth := MaxDepth; depth > 0; depth-- {
		if t.Bits(depth) <= budget {
			return depth
		}
	}
	return 0
}

// Bits that the traffic takes in a second with redundancy of a depth.
func (t Traffic) Bits(depth int) int {
	if depth == 0 {
		return 8 * (t.Packets*Overhead + t.Bytes)
	}
	return 8 * (t.Packets*(Overhead+1+4*depth) + t.Bytes*(1+depth))
}
