package bench

// Traffic is the media that a Client has sent and received since it was made: RTP packets,
// retransmissions included, and the bytes of their payloads.
type Traffic struct {
	SentPackets, SentBytes         uint64
	ReceivedPackets, ReceivedBytes uint64
}

// Add adds another's counts.
func (t *Traffic) Add(o Traffic) {
	t.SentPackets += o.SentPackets
	t.SentBytes += o.SentBytes
	t.ReceivedPackets += o.ReceivedPackets
	t.ReceivedBytes += o.ReceivedBytes
}

// Traffic returns the counts of all the Client's connections so far. It is cheap enough to be asked each
// second.
func (c *Client) Traffic() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.gone
	if c.conn != nil {
		t.Add(c.conn.traffic())
	}
	return t
}

func (c *connection) traffic() Traffic {
	var t Traffic
	for _, p := range c.pubs {
		for _, e := range p.encodings {
			e.mu.Lock()
			t.Add(e.traffic)
			e.mu.Unlock()
		}
	}
	for _, s := range c.slots {
		s.mu.Lock()
		t.Add(s.traffic)
		s.mu.Unlock()
	}
	return t
}

// sent counts one packet with a payload of n bytes.
func (t *Traffic) sent(n int) {
	t.SentPackets++
	t.SentBytes += uint64(n)
}

// received counts one packet with a payload of n bytes.
func (t *Traffic) received(n int) {
	t.ReceivedPackets++
	t.ReceivedBytes += uint64(n)
}
