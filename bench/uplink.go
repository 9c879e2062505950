package bench

import (
	"sync"
	"time"
)

// Uplink makes a Client share out its way up as Chromium does whose own estimate does not see that the path is full
// (docs/bandwidth.md): the voice has what it wants, pictures the rest of the estimate or of what the server says by
// REMB, but never less than their least; and what the server asks for by message takes its time.
type Uplink struct {
	Estimate int // of the path, in bit/s
	// Word is how long the nth message takes until it is done; those after it wait for it, as on TCP.
	Word func(n int) time.Duration
}

const (
	// leastPicture is what libwebrtc gives the lowest encoding whatever there is (kDefaultMinVideoBitrateBps).
	leastPicture = 30_000
	// packetOverhead is IP, UDP, RTP with extensions, RED and SRTP.
	packetOverhead = 69
)

// sender shares out the way up of one connection.
type sender struct {
	uplink Uplink

	mu    sync.Mutex
	words int
	last  time.Time // when the last message is done
	limit int       // by REMB, bit/s; 0: none
	voice int       // bit/s of it, headers and copies and all
}

func newSender(u *Uplink) *sender {
	if u == nil {
		return nil
	}
	return &sender{uplink: *u}
}

// done tells when a message that comes now is done.
func (s *sender) done(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := now.Add(s.uplink.Word(s.words)); at.After(s.last) {
		s.last = at
	}
	s.words++
	return s.last
}

// bound takes a limit of the server's.
func (s *sender) bound(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
}

// speaks notes what the voice takes: packets of so many bytes, each so long.
func (s *sender) speaks(bytes int, each time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.voice = int(int64(8*bytes) * int64(time.Second) / int64(each))
}

// pictures is what is left for them, in bit/s.
func (s *sender) pictures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.uplink.Estimate
	if s.limit > 0 {
		all = min(all, s.limit)
	}
	return all - s.voice
}

// bounds are the bit/s that an encoding has at most; 0: none.
type bounds struct {
	asked int // by the server
	room  int // that the way up has left; below 0: too little
}

// order is what the server has asked for, and when it is done.
type order struct {
	at time.Time
	do func()
}

// heed does what the server asks for, with mu held: at once, or after a while.
func (p *publication) heed(now time.Time, do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sender == nil {
		do()
		return
	}
	p.orders = append(p.orders, order{p.sender.done(now), do})
}

// obey does what is due of it; the caller holds mu.
func (p *publication) obey(now time.Time) {
	for len(p.orders) > 0 && !now.Before(p.orders[0].at) {
		do := p.orders[0].do
		p.orders = p.orders[1:]
		do()
	}
}

// share gives encodings their bitrates, the lowest first; the caller holds mu.
func (p *publication) share() {
	if p.sender == nil {
		return
	}
	left := p.sender.pictures()
	for i, e := range p.encoders {
		if p.stopped[i] || p.unwanted[i] {
			continue
		}
		wants := e.layer.Bitrate
		room := min(left, wants)
		if i == 0 {
			room = max(room, leastPicture)
		}
		was := e.bounds.room
		if e.bounds.room = room; i > 0 && room < wants/2 {
			e.bounds.room = -1 // not enough for it to be worth anything
		}
		if was < 0 && e.bounds.room > 0 {
			e.restart()
		}
		left -= max(0, e.bounds.room)
	}
}

// packing makes longer packets of a voice.
type packing struct {
	frames int       // in a packet; up to 1: one
	joined []payload // of the packet that is being made
	begun  time.Time // when its first frame was said, and
	level  uint8
}

// speak sends what is due of a voice: a packet of one frame, or of several once they are all there. The caller holds mu.
func (p *publication) speak(now time.Time) error {
	frame, level, ok := p.voice.frame(now)
	if !ok {
		return p.flush()
	}
	x := &p.packing
	if len(x.joined) == 0 {
		x.begun, x.level = now, level
	}
	if x.joined = append(x.joined, frame); len(x.joined) < x.frames {
		return nil
	}
	return p.flush()
}

// flush sends the frames that are there as one packet; the caller holds mu.
func (p *publication) flush() error {
	x := &p.packing
	frames := len(x.joined)
	if frames == 0 {
		return nil
	}
	packet := x.joined[0]
	if frames > 1 {
		packet.data = joinVoice(p.voice.buffers, x.joined)
	}
	x.joined = x.joined[:0]
	if p.sender != nil {
		bytes := len(packet.data)
		p.sender.speaks(bytes*(1+p.encodings[0].redundancy)+packetOverhead, time.Duration(frames)*audioFrame)
	}
	return p.encodings[0].send(x.begun, []payload{packet}, x.level, p.voice.buffers.put)
}

// joinVoice makes one Opus packet of several with one frame each (RFC 6716 section 3.2.5, code 3). The server has the like
// in sfu/opus, which a client that stands for a browser is not to share.
func joinVoice(buffers *buffers, frames []payload) []byte {
	total, equal := 2, true
	for _, f := range frames {
		total += len(f.data) + 1
		equal = equal && len(f.data) == len(frames[0].data)
	}
	b := buffers.get(total)[:2]
	b[0], b[1] = frames[0].data[0]|3, byte(len(frames))
	if !equal {
		b[1] |= 0x80
		for _, f := range frames[:len(frames)-1] {
			switch n := len(f.data) - 1; {
			case n < 252:
				b = append(b, byte(n))
			default:
				b = append(b, byte(252+n%4), byte((n-252-n%4)/4))
			}
		}
	}
	for _, f := range frames {
		b = append(b, f.data[1:]...)
		buffers.put(f.data)
	}
	return b
}
