package codec

import "time"

// Clock says when something with an RTP timestamp was taken, as the publisher's sender reports tell it
// (RFC 3550 section 6.4.1). All that one participant publishes has the same relation to the server's
// clock: that is lip sync.
type Clock struct {
	At        time.Time // on the server's clock
	Timestamp uint32    // of what was taken then
	Rate      uint32    // units of Timestamp in a second
}

// Time at which something with the timestamp ts was taken. It is right for what is less than 2^31
// units away.
func (c Clock) Time(ts uint32) time.Time {
	return c.At.Add(time.Duration(int32(ts-c.Timestamp)) * time.Second / time.Duration(c.Rate))
}
