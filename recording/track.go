package recording

import (
	"time"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

// Track takes the packets of one publication: it is the sfu.Tap of a recorder. Its methods only put
// into an inbox; all else belongs to the goroutine of the Session.
type Track struct {
	participant string
	source      codec.Source
	keyFrame    func()
	inbox       inbox

	spare     mail
	order     mkv.Order
	frames    mkv.Frames
	timeline  mkv.Timeline
	asked     time.Time // when a key frame was asked for last
	heard     bool
	described bool  // a frame has come
	frame     frame // as it is handed on; here lest it be allocated
}

// reorderWait is how long a missing packet is waited for: a round trip of 200 ms and the publisher's
// time to find it.
const reorderWait = 300 * time.Millisecond

// keyFrameEvery is how often a Track asks for a key frame at most.
const keyFrameEvery = 500 * time.Millisecond

// RTP takes a copy of one packet.
func (t *Track) RTP(now time.Time, c codec.Name, p *codec.Packet) { t.inbox.put(now, c, p) }

// Clock takes what a sender report says.
func (t *Track) Clock(c codec.Clock) { t.inbox.clock(c) }

// End tells that nothing follows.
func (t *Track) End(reason string) { t.inbox.end(reason) }

// frame is one frame at its time.
type frame struct {
	source codec.Source
	at     time.Duration // since the recording's beginning
	mkv.Frame
}

// work makes frames of what came until now. It returns what was lost and whether this was the last.
func (t *Track) work(now, epoch time.Time, emit func(*frame)) (loss mkv.Loss, over bool) {
	m, lost, ended := t.inbox.take(t.spare)
	clocks := m.clocks
	for i := range m.packets {
		for len(clocks) > 0 && clocks[0].after <= i {
			t.timeline.Clock(clocks[0].clock)
			clocks = clocks[1:]
		}
		t.heard = true
		p := &m.packets[i]
		if t.order.Pass(p) {
			t.next(&mkv.Ordered{Packet: *p}, epoch, emit)
			continue
		}
		t.order.Put(p)
		t.drain(p.Taken, epoch, emit)
	}
	for _, c := range clocks {
		t.timeline.Clock(c.clock)
	}
	if ended {
		t.order.Wait = 0
	}
	t.drain(now, epoch, emit)
	t.order.Keep()
	t.spare = m
	t.ask(now, ended)
	loss = t.frames.Loss()
	loss.Packets += lost
	return loss, ended
}

func (t *Track) drain(now, epoch time.Time, emit func(*frame)) {
	for p, ok := t.order.Take(now); ok; p, ok = t.order.Take(now) {
		t.next(&p, epoch, emit)
	}
}

// next makes a frame of a packet that is in its turn, if that completes one.
func (t *Track) next(p *mkv.Ordered, epoch time.Time, emit func(*frame)) {
	f, ok := t.frames.Put(p)
	if !ok {
		return
	}
	t.described = true
	at := t.timeline.Time(f.Taken, f.Timestamp, f.Codec.ClockRate())
	t.frame = frame{t.source, max(at.Sub(epoch), 0), f}
	emit(&t.frame)
}

// ask asks for a key frame when nothing can be made of the pictures without one.
func (t *Track) ask(now time.Time, ended bool) {
	if t.source.Kind() != codec.Video || ended || !t.heard || t.keyFrame == nil || !t.frames.NeedsKey() || now.Sub(t.asked) < keyFrameEvery {
		return
	}
	t.asked = now
	t.keyFrame()
}
