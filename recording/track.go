package recording

import (
	"bytes"
	"time"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

// Track takes the packets of one publication: it is the sfu.Tap of a recorder. It makes frames of them as they come,
// while they are in the processor's cache, and leaves those with the participant.
type Track struct {
	person   *person
	source   codec.Source
	keyFrame func()
	looks    *looks

	// These are of the packet path, which calls the methods of an sfu.Tap, never two at once: an atomic instruction
	// waits until what was copied before it is in the cache, so there is no lock for a packet that completes nothing.
	order    mkv.Order
	frames   mkv.Frames
	timeline mkv.Timeline
	frame    frame     // as it is handed on; here lest it be allocated
	came     time.Time // the last packet
	packets  int       // since the last frame
	heard    bool
	shared   bool // packets wait for one that is missing: all but came needs the participant's lock, too

	// These are guarded by the participant's lock.
	loss      mkv.Loss  // that nobody was told of
	useless   bool      // nothing can be made of what comes until there is a key frame
	asked     time.Time // when one was asked for last
	over      bool      // nothing follows
	described bool      // a frame has come
}

// reorderWait is how long a missing packet is waited for: a round trip of 200 ms and the publisher's
// time to find it.
const reorderWait = 300 * time.Millisecond

// keyFrameEvery is how often a Track asks for a key frame at most.
const keyFrameEvery = 500 * time.Millisecond

// RTP takes a copy of one packet.
func (t *Track) RTP(now time.Time, c codec.Name, p *codec.Packet) {
	in := mkv.Ordered{Packet: mkv.Packet{
		Taken: now, Codec: c, Seq: p.Seq, Timestamp: p.Timestamp,
		Marker: p.Marker, KeyFrame: p.KeyFrame, FrameStart: p.FrameStart, Payload: p.Payload,
	}}
	t.came = now
	if t.shared || !t.order.Pass(&in.Packet) {
		t.sort(&in.Packet)
	} else if f, ok := t.make(&in); ok || t.frames.Lossy() || !t.heard {
		t.person.mu.Lock()
		t.hand(f)
		t.person.mu.Unlock()
	}
	t.looks.came(now)
}

// sort takes a packet that is not in its turn, or comes while others are not.
func (t *Track) sort(p *mkv.Packet) {
	early := *p // on the heap: few are
	early.Payload = bytes.Clone(p.Payload)
	t.person.mu.Lock()
	defer t.person.mu.Unlock()
	t.order.Put(&early)
	t.drain(t.came)
	t.shared = t.order.Held()
}

// drain works off what is in its turn. The participant's lock is held.
func (t *Track) drain(now time.Time) {
	for p, ok := t.order.Take(now); ok; p, ok = t.order.Take(now) {
		f, _ := t.make(&p)
		t.hand(f)
	}
}

// Clock takes what a sender report says.
func (t *Track) Clock(c codec.Clock) {
	if t.shared {
		t.person.mu.Lock()
		defer t.person.mu.Unlock()
	}
	t.timeline.Clock(c)
}

// End tells that nothing follows.
func (t *Track) End(string) {
	t.person.mu.Lock()
	defer t.person.mu.Unlock()
	t.end()
}

// end gives up what is missing. The participant's lock is held.
func (t *Track) end() {
	if t.shared {
		t.order.Hurry()
		t.drain(time.Time{})
	}
	t.over = true
}

// frame is one frame at its time.
type frame struct {
	source codec.Source
	at     time.Duration // since the recording's beginning
	mkv.Frame
}

// make makes a frame of a packet that is in its turn, if that completes one.
func (t *Track) make(p *mkv.Ordered) (*frame, bool) {
	t.packets++
	f, ok := t.frames.Put(p)
	if !ok {
		return nil, false
	}
	at := t.timeline.Time(f.Taken, f.Timestamp, f.Codec.ClockRate())
	t.frame = frame{t.source, max(at.Sub(t.person.epoch), 0), f}
	return &t.frame, true
}

// hand leaves a frame, if there is one, and what was lost with the participant, whose lock is held.
func (t *Track) hand(f *frame) {
	if f != nil && !t.over {
		t.described = true
		space, ok := t.person.add(f)
		switch video := f.Codec.Kind() == codec.Video; {
		case !ok:
			t.loss.Packets += t.packets
			if video {
				t.loss.Frames++
				t.frames.Lose()
			}
		case video:
			t.frames.Use(space)
		}
		t.packets = 0
	}
	lost := t.frames.Loss()
	t.loss.Packets += lost.Packets
	t.loss.Frames += lost.Frames
	t.heard, t.useless = true, t.frames.NeedsKey()
}

// notice is what a Track has to tell at a look.
type notice struct {
	track *Track
	loss  mkv.Loss
	ask   bool // for a key frame
}

// review gives up what has been waited for long enough, and reports whether there is anything to tell. The
// participant's lock is held.
func (t *Track) review(now time.Time) (notice, bool) {
	if t.shared {
		t.drain(now)
	}
	n := notice{track: t, loss: t.loss, ask: t.asks(now)}
	t.loss = mkv.Loss{}
	return n, n.ask || n.loss != mkv.Loss{}
}

// asks tells whether a key frame is to be asked for now.
func (t *Track) asks(now time.Time) bool {
	if !t.useless || t.over || t.source.Kind() != codec.Video || t.keyFrame == nil || now.Sub(t.asked) < keyFrameEvery {
		return false
	}
	t.asked = now
	return true
}
