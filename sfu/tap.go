package sfu

import (
	"context"
	"sync"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/layers"
)

// Tap takes what one publication sends, beside its subscribers: a recorder has one for each track. It
// is given one continuous stream, whatever happens among the encodings: the highest that is being
// sent, RED and RTX undone, without duplicates, renumbered as for a subscriber. So a hole in the
// sequence numbers is a loss, a repair that comes late has its older number (and no payload if it was
// padding), and video begins with a key frame, at first and after a mute. The codec may change.
//
// The methods are called on the packet path, never two at once. They must neither block nor call back;
// a Tap that cannot keep up loses.
type Tap interface {
	// RTP takes one packet. The packet and its payload are valid until RTP returns.
	RTP(now time.Time, c codec.Name, p *codec.Packet)
	// Clock tells a time for the timestamps of RTP: after the first packet of an encoding and with every
	// sender report, so not before the publisher has sent one.
	Clock(c codec.Clock)
	// End tells that nothing follows. Who is captured again has another Tap, with numbers of its own.
	End(reason string)
}

// Captured is one publication that is to be tapped.
type Captured struct {
	Peer   string
	Source codec.Source
	// KeyFrame asks the publisher for a key frame, as often as is decent: for a tap that has lost some of
	// what it was given. Any goroutine may call it, but not within a method of the Tap.
	KeyFrame func()
}

// Capture says whose media goes to taps. The zero value is nobody's.
type Capture struct {
	Peers []string
	// Open makes the tap of a publication that has none, or returns nil to leave it out. It is called on
	// the room's goroutine, often before the publication has sent anything, and must neither block nor
	// call back. Taps that are open already stay as they are.
	Open func(Captured) Tap
	// Reason is what the taps are told that end because their owner is not among Peers.
	Reason string
}

// tapLeft is what a tap is told whose participant has gone or is not admitted any more.
const tapLeft = "left"

// SetCapture is the one call through which recording starts and stops: exactly those of c.Peers that
// are admitted are tapped, what they publish later included. When it returns, no tap of anybody else
// gets another packet, and all have been told that they end.
func (r *Room) SetCapture(ctx context.Context, c Capture) error {
	return r.do(ctx, func() {
		clear(r.captured)
		for _, id := range c.Peers {
			r.captured[id] = true
		}
		r.capture = c
		r.tap()
	})
}

// tap makes the taps agree with who is captured and admitted.
func (r *Room) tap() {
	for _, p := range r.peers {
		pubs, _ := p.media()
		for _, pub := range pubs {
			switch {
			case !r.admitted[p.o.ID] || p.failed:
				pub.untap(tapLeft)
			case !r.captured[p.o.ID]:
				pub.untap(r.capture.Reason)
			case pub.tap.Load() == nil && r.capture.Open != nil:
				if t := r.capture.Open(Captured{p.o.ID, pub.source, pub.refreshTap}); t != nil {
					pub.tap.Store(&tapping{tap: t, rewriter: forward.NewRewriter(pub.clockRate(), 0, 0, 0, 0)})
					pub.steerTap()
				}
			}
		}
	}
}

// tapping is the edge from a publication to its tap. It has no slot, nobody grants it anything, and no
// encoding is sent because of it; all that it asks for are key frames.
type tapping struct {
	tap Tap

	mu       sync.Mutex
	ended    bool
	rewriter forward.Rewriter
	packet   codec.Packet // as it leaves; here lest it be allocated
}

// rtp hands on a packet of the encoding that the tap takes. True: it is the first of an encoding.
func (t *tapping) rtp(now time.Time, e *encoding, c codec.Name, p *codec.Packet, a *booked) (switched bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	if p.KeyFrame && a.Newest && e.stream != t.rewriter.Current() {
		if a.highest != 0 {
			t.rewriter.Target(a.highest)
		}
		if ts, ok := a.aligned(t.rewriter.Current()); ok {
			t.rewriter.Align(ts)
		}
	}
	var out forward.Out
	if t.rewriter.Forward(now, e.stream, c, p, a.Newest, &out) != forward.Forwarded {
		return false
	}
	t.packet = *p
	t.packet.Seq, t.packet.Timestamp = out.Seq, out.Timestamp
	out.Patch(p.Payload)
	t.tap.RTP(now, c, &t.packet)
	out.Restore(p.Payload)
	t.packet = codec.Packet{}
	return out.Switched
}

// clock hands on that ts of stream was taken at at.
func (t *tapping) clock(stream forward.Stream, at time.Time, ts, rate uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.rewriter.Current() != stream {
		return
	}
	if ts, ok := t.rewriter.SlotTimestamp(ts); ok {
		t.tap.Clock(codec.Clock{At: at, Timestamp: ts, Rate: rate})
	}
}

// end ends the tap; when it returns nothing follows.
func (t *tapping) end(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.tap.End(reason)
}

func (t *tapping) resync() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rewriter.Resync()
}

// steer makes highest what the tap takes, and tells which stream it has and which it waits for.
func (t *tapping) steer(highest forward.Stream) (current, pending forward.Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if highest != 0 {
		t.rewriter.Target(highest)
	}
	pending, _ = t.rewriter.Pending()
	return t.rewriter.Current(), pending
}

// untap ends the publication's tap, if it has one. Only the room's goroutine calls it, and opens one.
func (pub *Publication) untap(reason string) {
	if t := pub.tap.Swap(nil); t != nil {
		t.end(reason)
	}
}

// steerTap makes the highest encoding that is being sent the tap's, and tells which stream it has and
// which it waits for, 0 for none.
func (pub *Publication) steerTap() (current, pending forward.Stream) {
	t := pub.tap.Load()
	if t == nil {
		return 0, 0
	}
	pub.mu.Lock()
	highest := pub.highestLocked()
	pub.mu.Unlock()
	return t.steer(highest)
}

// refreshTap asks for a key frame of what the tap is given.
func (pub *Publication) refreshTap() {
	current, pending := pub.steerTap()
	if pending != 0 {
		current = pending
	}
	now := pub.peer.room.server.clock()
	pub.mu.Lock()
	defer pub.mu.Unlock()
	for _, e := range pub.encodings {
		if e.stream == current && e.ssrc != 0 && pub.source.Kind() == codec.Video && e.keyFrames.Want(now) {
			pub.sendKeyFrameRequest(e)
		}
	}
}

func (pub *Publication) highestLocked() forward.Stream {
	if i := layers.Highest(pub.rates); i >= 0 {
		return pub.encodings[i].stream
	}
	return 0
}

// tapped hands a packet to the tap, and with the first of an encoding its time.
func (pub *Publication) tapped(now time.Time, t *tapping, e *encoding, c codec.Name, p *codec.Packet, a *booked) {
	if !t.rtp(now, e, c, p, a) {
		return
	}
	pub.mu.Lock()
	at, ok := e.reports.Time(p.Timestamp, pub.clockRate())
	pub.mu.Unlock()
	if ok {
		t.clock(e.stream, at, p.Timestamp, pub.clockRate())
	}
}
