package bench

import "time"

// Opus packets (RFC 6716 section 3.2) as far as voices of ours need them, written down a second time: what tests the
// server must not be made of it.

// maxVoiceFrames of a packet: 120 ms.
const maxVoiceFrames = 6

// splitVoice takes a packet apart into its frames of 20 ms; nil for one that is none of ours.
func splitVoice(b []byte) (frames [][]byte) {
	if len(b) < 2 {
		return nil
	}
	code := b[0] & 3
	b = b[1:]
	count, sized := 1+int(code+1)/2, code == 2 // 1, 2, 2
	if code == 3 {
		count, sized = int(b[0]&0x3f), b[0]&0x80 != 0
		if b[0]&0x40 != 0 { // padding, which no voice of ours has
			return nil
		}
		b = b[1:]
	}
	if count == 0 || count > maxVoiceFrames {
		return nil
	}
	var sizes []int
	rest := len(b)
	for range count - 1 {
		size := len(b) / count
		if sized {
			switch {
			case len(b) > 0 && b[0] < 252:
				size, b = int(b[0]), b[1:]
				rest--
			case len(b) > 1:
				size, b = int(b[0])+4*int(b[1]), b[2:]
				rest -= 2
			default:
				return nil
			}
		}
		sizes = append(sizes, size)
		rest -= size
	}
	if rest < 0 {
		return nil
	}
	for _, size := range append(sizes, rest) {
		frames = append(frames, b[:size])
		b = b[size:]
	}
	return frames
}

// voiceTags appends the tags of a voice's packet, one for each frame.
func voiceTags(tags []Tag, payload []byte) []Tag {
	if len(payload) > 0 && payload[0]&3 == 0 { // one frame, as nearly always
		if t, ok := ParseTag(payload); ok {
			tags = append(tags, t)
		}
		return tags
	}
	for _, f := range splitVoice(payload) {
		if t, ok := ParseTag(f); ok {
			tags = append(tags, t)
		}
	}
	return tags
}

// heardFrames is how many frames of a voice a slot remembers: 2.5 s. A power of two.
const heardFrames = 128

// heard is a frame that has come.
type heard struct {
	sender uint64
	frame  uint32
}

// note remembers that frames have come.
func (s *slot) note(tags []Tag) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tags {
		s.heard[t.Frame%heardFrames] = heard{t.Sender, t.Frame}
	}
}

// misses tells whether any of the frames has not come.
func (s *slot) misses(tags []Tag) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tags {
		if s.heard[t.Frame%heardFrames] != (heard{t.Sender, t.Frame}) {
			return true
		}
	}
	return false
}

// observe shows the tags of a packet to who watches.
func (c *connection) observe(now time.Time, s *slot, p Inbound, tags []Tag) {
	for i, tag := range tags {
		ts := p.Timestamp + uint32(i)*uint32(audioFrame*48/time.Millisecond)
		c.cfg.Observer.Packet(now, Arrival{Mid: s.mid, Tag: tag, Timestamp: ts, Repaired: p.Repaired})
	}
}
