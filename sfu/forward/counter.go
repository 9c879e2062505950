package forward

import "slices"

// omissions is how many numbers that were left out a counter remembers: two seconds of every other
// frame at 30/s. Packets that come later than that are late for everybody.
const omissions = 32

// counter continues a number that wraps over changes of its source. Numbers of the source may be left
// out: what follows is closer by one, what comes late from before is not.
type counter struct {
	open   bool     // shift holds
	last   uint16   // the highest given out; it does not wrap where a source does
	shift  uint16   // of what is newer than everything left out
	newest uint16   // of the source
	left   []uint16 // of the source, the oldest first; <= omissions, made with the first
}

// next continues with source, a number of so many bits.
func (c *counter) next(source uint16, bits uint8) uint16 {
	mask := uint16(1)<<bits - 1
	if !c.open {
		*c = counter{open: true, last: c.last, shift: c.last + 1 - source, newest: source, left: c.left[:0]}
	}
	shift := c.shift
	for i := len(c.left) - 1; i >= 0 && after(c.left[i], source, mask); i-- {
		shift++
	}
	v := (source + shift) & mask
	if after(v, c.last, mask) {
		c.last += (v - c.last) & mask
	}
	if after(source, c.newest, mask) {
		c.newest = source
		c.expire(mask)
	}
	return v
}

// omit leaves source out: once, however often it is called with it, and not if next has begun with it or
// with something newer, because then it has its place.
func (c *counter) omit(source uint16, bits uint8) {
	mask := uint16(1)<<bits - 1
	if !c.open || !after(source, c.newest, mask) {
		return
	}
	c.newest = source
	c.expire(mask)
	c.shift--
	if c.left == nil {
		c.left = make([]uint16, 0, omissions)
	}
	if len(c.left) == omissions {
		c.left = slices.Delete(c.left, 0, 1)
	}
	c.left = append(c.left, source)
}

// expire forgets what was left out so long ago that it would soon seem to be ahead.
func (c *counter) expire(mask uint16) {
	for len(c.left) > 0 && (c.newest-c.left[0])&mask > mask/4 {
		c.left = slices.Delete(c.left, 0, 1)
	}
}

// after tells whether a follows b, both modulo mask + 1.
func after(a, b, mask uint16) bool {
	d := (a - b) & mask
	return d > 0 && d <= mask/2
}
