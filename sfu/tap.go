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
// sent (and is not about to be stopped), RED and RTX undone, without duplicates, renumbered as for a
// subscriber. So a hole in the
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
					pub.refreshTap() // now, and not when the timer comes round: until its key frame there is no picture
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

// rtp hands on a packet of the encoding that the tap takes. True: an encoding begins with it, or with the
// key frame that it completes.
func (t *tapping) rtp(now time.Time, e *encoding, c codec.Name, p *codec.Packet, a *booked) (switched bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	current := t.rewriter.Current()
	if e.stream != current && a.highest != 0 {
		t.rewriter.Target(a.highest)
	}
	if c.Kind() == codec.Audio || current == 0 || current == e.stream {
		return t.pass(now, e, c, p, a.Newest)
	}
	return t.change(now, e, c, a)
}

// change goes over to an encoding whose key frame has come whole, as Subscription.change does.
func (t *tapping) change(now time.Time, e *encoding, c codec.Name, a *booked) (switched bool) {
	if pending, _ := t.rewriter.Pending(); pending != e.stream || a.whole == nil {
		return false
	}
	if ts, ok := a.aligned(t.rewriter.Current()); ok {
		t.rewriter.Align(ts)
	}
	for i := range a.whole {
		switched = t.pass(now, e, c, &a.whole[i], true) || switched
	}
	return switched
}

// pass hands on a packet of the encoding that is being taken, or of the one that begins with it.
func (t *tapping) pass(now time.Time, e *encoding, c codec.Name, p *codec.Packet, newest bool) (switched bool) {
	var out forward.Out
	if t.rewriter.Forward(now, e.stream, c, p, newest, &out) != forward.Forwarded {
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
	now := pub.peer.room.server.clock()
	pub.mu.Lock()
	highest := pub.highestLocked(now)
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

// tapLeaves is how long before a publisher is told to stop an encoding its tap begins to leave it: time for
// three requests for the key frame of another. A tap that noticed only the silence had no picture for a
// second. One that is still being sent as long after is not going to be stopped, and is taken again.
const tapLeaves = 2 * time.Second

// highestLocked is what a tap is to have: the highest encoding that is being sent, but for those that are
// about to be stopped because nobody looks at them.
func (pub *Publication) highestLocked(now time.Time) forward.Stream {
	best := layers.Highest(pub.rates)
	if best < 0 {
		return 0
	}
	if len(pub.encodings) > 1 && pub.leavingLocked(best, now) {
		for n, i := range layers.Order(pub.rates) {
			if layers.Sent(i, pub.rates) && (n == 0 || !pub.leavingLocked(i, now)) {
				best = i
			}
		}
	}
	return pub.encodings[best].stream
}

func (pub *Publication) leavingLocked(i int, now time.Time) bool {
	idle := now.Sub(pub.wanted[i])
	return pub.encodings[i].rid != "" && idle >= linger-tapLeaves && idle < linger+tapLeaves
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
