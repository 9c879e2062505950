package sfu

import (
	"net/netip"
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/capacity"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/transport"
	"github.com/bedside-video/bedside/sfu/twcc"
)

const (
	// soundAlone is for how long there is nothing but sound on the path at first.
	soundAlone = 300 * time.Millisecond
	// videoWithin is how long the client has to begin with pictures when the way down has been measured. upTime is how
	// long they are looked at: a browser takes that to its rate where the path is not full. After upSoon it is enough
	// if the path was full, or carried upEnough. upTold is how often it is told what came so far: who has no more time takes that.
	videoWithin = 2 * time.Second
	upTime      = 3 * time.Second
	upSoon      = 2 * time.Second
	upEnough    = 1_000_000
	upTold      = 400 * time.Millisecond
	// upLook is over how long it is looked what comes now, and upOver how much of that, in percent, the client may send:
	// so much that a full path stays full, and no more, since its queue is the client's.
	upLook = 250 * time.Millisecond
	upOver = 140
	// upWindow is for how long what comes must come at a rate that counts.
	upWindow = time.Second
	// upBusy is for how long a path must have been busy for what came meanwhile to count.
	upBusy = 600 * time.Millisecond
	// upQueue is how much longer sound takes beside pictures that fill the path, and upFull of how many of its packets
	// that is to be so, in percent.
	upQueue = 30 * time.Millisecond
	upFull  = 30
	// checkTick is how often padding goes out; see probeInterval. padsAtOnce bounds what goes out in one: a clock that
	// jumps is no burst.
	checkTick  = probeInterval
	padsAtOnce = 24
	// maxCheckPads and maxCheckBytes bound what one check is sent in padding, and may send.
	maxCheckPads  = 3000
	maxCheckBytes = 2_000_000
	mostMoves     = 2 // of a path while padding is sent
)

// Share is how many of some packets were lost.
type Share struct{ Lost, Of int }

// CheckFigures are what a check has found so far.
type CheckFigures struct {
	Over             bool // nothing more is measured
	Down, Up         Rate
	LossDown, LossUp Share
}

// Rate is what a path carried, in bit/s, as IP packets; 0: not known. If it was not full it may carry more.
type Rate struct {
	Bitrate int
	Full    bool
}

// phase of a check's measurements, in their order.
type phase uint8

const (
	phaseWaiting phase = iota // for the connection
	phaseSound
	phaseDown
	phaseVideo // waiting for it
	phaseUp
	phaseOver
)

// load is what a check does to measure: padding down, then the client's pictures up. check.mu guards it.
type load struct {
	phase phase
	since time.Time // of the phase
	pad   *transport.Slot
	seq   uint16
	to    netip.AddrPort // where padding goes
	moved int            // so often that changed meanwhile

	ramp   *capacity.Ramp
	pads   int
	credit float64 // bytes that are to be sent
	sent   uint64  // Outbound.Bytes at
	at     time.Time
	losses capacity.Losses
	acks   []bwe.Ack

	up        capacity.Trace
	queue     capacity.Queue // of the sound beside it
	begin     time.Time      // of the sound,
	timestamp uint32         // and with which
	told      time.Time      // when figures were, last
	lossUp    Share
	ssrc      uint32 // of the pictures
}

// measure does what is due, and returns figures when there are new ones.
func (c *check) measure(now time.Time) (CheckFigures, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.load
	l.follow(now, c.conn.Path())
	switch passed := now.Sub(l.since); l.phase {
	case phaseWaiting:
		if c.conn.State() == transport.StateConnected {
			l.enter(now, phaseSound)
		}
	case phaseSound:
		if passed >= soundAlone {
			l.ramp, l.at, l.sent = capacity.NewRamp(now), now, c.conn.Outbound().Bytes
			l.enter(now, phaseDown)
		}
	case phaseDown:
		if !c.fill(now) {
			l.enter(now, phaseVideo)
			return c.figures(), true
		}
	case phaseVideo:
		if passed >= videoWithin {
			l.enter(now, phaseOver)
			return c.figures(), true
		}
	case phaseUp:
		if passed >= upTime || passed >= upSoon && l.enough() {
			l.enter(now, phaseOver)
			return c.figures(), true
		}
		if now.Sub(l.told) >= upTold && passed > upWindow {
			l.told = now
			return c.figures(), true
		}
	}
	return CheckFigures{}, false
}

// follow begins anew when ICE has chosen another path: in the first moments browsers do, and what was measured is not the
// path's. Not for ever: padding goes to no more addresses than that.
func (l *load) follow(now time.Time, to netip.AddrPort) {
	if l.to == to {
		return
	}
	l.to = to
	switch {
	case l.phase == phaseDown && l.moved < mostMoves:
		l.moved++
		l.ramp = nil
		l.enter(now, phaseSound)
	case l.phase == phaseDown:
		l.ramp, l.pad = nil, nil
	case l.phase == phaseSound:
		l.since = now
	}
}

func (l *load) enter(now time.Time, p phase) { l.phase, l.since = p, now }

// fill sends what the ramp wants; false when it is over, or there is nobody to measure with.
func (c *check) fill(now time.Time) bool {
	l, out := &c.load, c.conn.Outbound()
	if l.pad == nil {
		return false
	}
	rate := l.ramp.Rate(now, out.Waiting)
	if rate == 0 {
		return false
	}
	passed := min(now.Sub(l.at), 5*checkTick)
	l.credit += float64(rate)/8*passed.Seconds() - float64(out.Bytes-l.sent)
	l.at = now
	for n := 0; l.credit > 0 && n < padsAtOnce; n++ {
		if l.pads == maxCheckPads || !l.pad.Pad(l.seq, 0) {
			return false
		}
		l.seq++
		l.pads++
		sent := c.conn.Outbound().Bytes
		if sent == out.Bytes {
			return false // the connection has gone
		}
		l.credit -= float64(sent - out.Bytes)
		out.Bytes = sent
	}
	l.credit = min(l.credit, transport.MaxPadding)
	l.sent = out.Bytes
	return true
}

// figures returns what is known.
func (c *check) figures() CheckFigures {
	l := &c.load
	f := CheckFigures{Over: l.phase == phaseOver, LossUp: l.lossUp}
	if l.ssrc != 0 { // without pictures it was the sound alone
		f.Up = Rate{l.came(), l.queue.Full(upQueue, upFull)}
	}
	never := func(time.Time) bool { return false }
	if l.ramp != nil {
		f.Down.Bitrate, f.Down.Full = l.ramp.Found()
		never = l.ramp.Filled
	}
	f.LossDown.Lost, f.LossDown.Of = l.losses.Except(never)
	if l.lossUp.Of == 0 {
		f.LossUp = c.soundLost()
	}
	return f
}

// came is the rate, in bit/s, at which the client's packets came: for a second, or while the path was busy.
func (l *load) came() int {
	came := l.up.Most(upWindow)
	if busy, d := l.queue.Busy(); d >= upBusy {
		came = max(came, busy)
	}
	return came
}

// enough tells that more would tell nothing.
func (l *load) enough() bool {
	_, busy := l.queue.Busy()
	return busy >= upWindow || l.came() >= upEnough
}

// soundLost tells what was lost of the sound so far.
func (c *check) soundLost() Share {
	t := c.receiver.Totals()
	return Share{Lost: int(max(0, int64(t.Expected)-int64(t.Received))), Of: int(t.Expected)}
}

// arrived notes a packet while the client sends what it dares.
func (c *check) arrived(now time.Time, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := &c.load; l.phase != phaseVideo && l.phase != phaseUp {
		return
	}
	if !c.load.up.Add(now, bytes) || c.load.up.Bytes() > maxCheckBytes {
		c.TooManyStreams()
	}
}

// Feedback tells what came of sound and padding.
func (c *check) Feedback(now time.Time, x *twcc.Feedback) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.load
	l.acks = c.conn.Acknowledge(x, l.acks[:0])
	l.losses.Add(l.acks)
	if l.ramp != nil {
		l.ramp.Acks(now, l.acks)
	}
}

// queue notes how long sound took, which is sent by a clock: the first packet's timestamp and arrival are where both
// begin.
func (c *check) queue(now time.Time, timestamp uint32) {
	l := &c.load
	if l.begin.IsZero() {
		l.begin, l.timestamp = now, timestamp
	}
	sent := time.Duration(int32(timestamp-l.timestamp)) * time.Second / time.Duration(codec.Opus.ClockRate())
	if took := now.Sub(l.begin) - sent; l.phase == phaseUp {
		l.queue.Add(now, took, l.up.Bytes())
	} else {
		l.queue.Base(took)
	}
}

// most is what the client may send now, in bit/s; 0: what it dares.
func (l *load) most(now time.Time) int {
	if l.phase != phaseUp || now.Sub(l.since) < upLook {
		return 0
	}
	came := 0
	for d := upLook; d <= upWindow; d *= 2 { // an encoder that leaves out a picture has not been told to
		came = max(came, l.up.Last(now, d))
	}
	return max(upOver*came/100, leastBitrate)
}

// pictures takes the client's, which are measured and thrown away.
type pictures struct{ check *check }

// RTP begins to measure the way up.
func (s pictures) RTP(now time.Time, _ codec.Name, p *codec.Packet, _ bool) {
	c := s.check
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.load.phase == phaseVideo {
		c.load.lossUp = c.soundLost()
		c.load.ssrc = p.SSRC
		c.load.enter(now, phaseUp)
	}
}

// Flush has nothing to do.
func (pictures) Flush() {}
