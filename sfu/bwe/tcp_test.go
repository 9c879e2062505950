package bwe_test

import "time"

// tcp is a Reno sender with selective acknowledgements: slow start, one packet a round trip more, half
// on loss, a timeout of a second. What is lost is not sent again: only the rate is of interest.
type tcp struct {
	w           *world
	fwd, back   int
	cwnd, limit float64 // packets; limit: the slow start's end
	next, acked uint32
	flying      map[uint32]bool
	recover     uint32 // losses of packets before it have been acted upon
	heard       time.Duration
	left        int // packets to send; -1: without end
	done        func()
}

const tcpPacket = 1500

func newTCP(w *world, start, delay time.Duration, packets int, done func()) *tcp {
	c := &tcp{w: w, cwnd: 4, limit: 1e9, flying: map[uint32]bool{}, left: packets, done: done}
	c.fwd = w.fwd.own(delay, func(n uint32, _ int) { w.back.send(c.back, n, 60) })
	c.back = w.back.own(delay, c.ack)
	w.at(start, c.fill)
	return c
}

func (c *tcp) fill() {
	c.heard = c.w.now
	c.watch()
	c.push()
}

func (c *tcp) push() {
	for float64(len(c.flying)) < c.cwnd && c.left != 0 {
		c.next++
		c.flying[c.next] = true
		if c.left > 0 {
			c.left--
		}
		c.w.fwd.send(c.fwd, c.next, tcpPacket)
	}
}

// watch acts upon a second of silence.
func (c *tcp) watch() {
	c.w.after(time.Second, func() {
		if c.left == 0 && len(c.flying) == 0 {
			return
		}
		if c.w.now-c.heard >= time.Second {
			clear(c.flying)
			c.limit, c.cwnd, c.heard, c.recover = max(c.cwnd/2, 2), 1, c.w.now, c.next
			c.push()
			c.finish()
		}
		c.watch()
	})
}

func (c *tcp) ack(n uint32, _ int) {
	c.heard = c.w.now
	if c.flying[n] {
		delete(c.flying, n)
		if c.cwnd < c.limit {
			c.cwnd++
		} else {
			c.cwnd += 1 / c.cwnd
		}
	}
	if n > c.acked {
		for k := c.acked + 1; k+3 <= n; k++ { // three later ones have come: lost
			if !c.flying[k] {
				continue
			}
			delete(c.flying, k)
			if k > c.recover {
				c.recover = c.next
				c.limit = max(c.cwnd/2, 2)
				c.cwnd = c.limit
			}
		}
		if n >= 3 {
			c.acked = max(c.acked, n-3)
		}
	}
	c.push()
	c.finish()
}

func (c *tcp) finish() {
	if c.left == 0 && len(c.flying) == 0 && c.done != nil {
		done := c.done
		c.done = nil
		done()
	}
}
