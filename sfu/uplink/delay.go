package uplink

import "time"

const (
	clockRate = 48000 // Hz, of a voice's timestamps (RFC 7587 section 4.1)
	// unitBits are those after the point of a send time in seconds, of sendTimeBits in all.
	unitBits     = 18
	sendTimeBits = 24
	// pause is after how long without a packet it begins anew: libopus sends one each 400 ms in silence, and some of
	// those are lost.
	pause = 3 * time.Second
	// jump is what no queue is: a device that was changed, or a track.
	jump = time.Second
	// creep is what a second adds to the least that packets take: sound cards are off by 100 in a million, and a path
	// that has become longer is one day as long as it is.
	creep = 5000
	// shorter by so much is another way: jitter has shown its least long ago.
	shorter = 30 * time.Millisecond
)

// delay follows how much longer than at best packets take that are sent by a clock, or that tell when they were sent.
type delay struct {
	known     bool
	stamped   bool
	last      time.Time
	timestamp uint32        // of the end, or the send time
	took      time.Duration // of the last, by clocks that do not agree
	least     time.Duration
}

// packet returns for how long a packet has waited, less than nothing if the way has become shorter; false of the first after
// a pause.
func (d *delay) packet(now time.Time, p *Packet) (waited time.Duration, ok bool) {
	passed, timestamp := now.Sub(d.last), p.End
	sent := time.Duration(int32(timestamp-d.timestamp)) * time.Second / clockRate
	if p.Stamped {
		const unused = 32 - sendTimeBits
		timestamp = p.SendTime
		sent = time.Duration(int32((timestamp-d.timestamp)<<unused)>>unused) * time.Second >> unitBits
	}
	d.known = d.known && d.stamped == p.Stamped
	d.last, d.timestamp, d.stamped = now, timestamp, p.Stamped
	if off := passed - sent; !d.known || passed < 0 || passed > pause || off > jump || off < -jump {
		d.known, d.took, d.least = true, 0, 0
		return 0, false
	}
	d.took += passed - sent
	d.least += passed / creep
	if waited = d.took - d.least; waited > -shorter {
		waited = max(waited, 0)
	}
	d.least = min(d.least, d.took)
	return waited, true
}

// longer takes the way to be so much longer.
func (d *delay) longer(by time.Duration) { d.least += by }
