package bench

import "errors"

// errVP8 is a payload that is no VP8 payload (RFC 7741).
var errVP8 = errors.New("bench: not a VP8 payload")

// vp8Descriptor is the VP8 payload descriptor (RFC 7741 section 4.2), as far as a receiver checks it.
type vp8Descriptor struct {
	start     bool // first packet of the frame: S set, partition 0
	key       bool // start of a key frame
	hasPic    bool
	picture   uint16 // 15 bits
	hasLayers bool   // TL0PICIDX and TID are there
	tl0       uint8
	tid       uint8
	size      int // bytes of the descriptor
}

// put writes the descriptor into b, which holds at least 6 bytes, and returns its length. nonRef
// marks a frame that no other refers to.
func (d vp8Descriptor) put(b []byte, nonRef, sync bool) int {
	b[0] = 0x80 // X: extended
	if d.start {
		b[0] |= 0x10
	}
	if nonRef {
		b[0] |= 0x20
	}
	b[1] = 0x80 // I: picture id
	b[2], b[3] = 0x80|byte(d.picture>>8), byte(d.picture)
	if !d.hasLayers {
		return 4
	}
	b[1] |= 0x40 | 0x20 // L, T
	b[4], b[5] = d.tl0, d.tid<<6
	if sync {
		b[5] |= 0x20
	}
	return 6
}

// parseVP8 reads the descriptor at the start of payload and, in the first packet of a frame, whether
// it is a key frame.
func parseVP8(payload []byte) (vp8Descriptor, error) {
	var d vp8Descriptor
	if len(payload) < 2 {
		return d, errVP8
	}
	first := payload[0]
	d.start = first&0x10 != 0 && first&0x07 == 0
	d.size = 1
	if first&0x80 != 0 {
		if err := d.parseExtension(payload); err != nil {
			return d, err
		}
	}
	if d.size >= len(payload) {
		return d, errVP8
	}
	d.key = d.start && payload[d.size]&1 == 0 // RFC 6386 section 9.1: P is 0 in a key frame
	return d, nil
}

// parseExtension reads what the X bit announces.
func (d *vp8Descriptor) parseExtension(b []byte) error {
	ext := b[1]
	i := 2
	need := func(n int) bool { return i+n <= len(b) }
	if ext&0x80 != 0 {
		if !need(1) {
			return errVP8
		}
		d.hasPic = true
		if b[i]&0x80 == 0 {
			d.picture = uint16(b[i])
			i++
		} else {
			if !need(2) {
				return errVP8
			}
			d.picture = uint16(b[i]&0x7f)<<8 | uint16(b[i+1])
			i += 2
		}
	}
	if ext&0x40 != 0 {
		if !need(1) {
			return errVP8
		}
		d.tl0 = b[i]
		i++
	}
	if ext&0x30 != 0 {
		if !need(1) {
			return errVP8
		}
		d.tid = b[i] >> 6
		i++
	}
	d.hasLayers = ext&0x60 == 0x60
	d.size = i
	return nil
}

// putVP8Frame writes the uncompressed start of a VP8 frame (RFC 6386 section 9.1) into b, which
// holds at least 10 bytes, and returns its length.
func putVP8Frame(b []byte, key bool, width, height, size int) int {
	part := size & 0x7ffff
	b[0] = byte(part&7)<<5 | 0x10 // show_frame
	b[1], b[2] = byte(part>>3), byte(part>>11)
	if !key {
		b[0] |= 1
		return 3
	}
	b[3], b[4], b[5] = 0x9d, 0x01, 0x2a
	b[6], b[7] = byte(width), byte(width>>8)
	b[8], b[9] = byte(height), byte(height>>8)
	return 10
}
