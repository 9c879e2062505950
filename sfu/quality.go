package sfu

import (
	"context"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/quality"
)

// Measure is what is known of one peer's connection.
type Measure struct {
	Peer string
	quality.Sample
}

// Measure returns a sample of every peer's connection. Its counters begin with the connection.
func (r *Room) Measure(ctx context.Context) ([]Measure, error) {
	var all []Measure
	err := r.do(ctx, func() {
		now := r.server.clock()
		all = make([]Measure, 0, len(r.peers))
		for _, p := range r.peers {
			all = append(all, Measure{Peer: p.o.ID, Sample: p.sample(now)})
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// sample sums up what the peer's encodings and slots have counted.
func (p *Peer) sample(now time.Time) quality.Sample {
	s := quality.Sample{RoundTrip: time.Duration(p.rtt.Load()), Connected: p.connected.Load()}
	pubs, slots := p.media()
	var up, down jitters
	for _, pub := range pubs {
		pub.sum(&s.Up, &up)
	}
	for _, slot := range slots {
		s.Dropped += slot.sum(now, &s.Down, &down)
	}
	s.Up.Jitter, s.Down.Jitter = up.worst(), down.worst()
	return s
}

// jitters are the largest of the streams of each kind.
type jitters struct{ audio, video time.Duration }

func (j *jitters) note(kind codec.Kind, units, clockRate uint32) {
	d := time.Duration(units) * time.Second / time.Duration(clockRate)
	if kind == codec.Audio {
		j.audio = max(j.audio, d)
	} else {
		j.video = max(j.video, d)
	}
}

// worst is the jitter of speech where there is any: a large picture takes longer to send than a small
// one, and its packets have one timestamp, which looks like jitter and is none of the network's.
func (j *jitters) worst() time.Duration {
	if j.audio > 0 {
		return j.audio
	}
	return j.video
}

// sum adds what has arrived of the publication.
func (pub *Publication) sum(t *quality.Totals, j *jitters) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	for _, e := range pub.encodings {
		n := e.receiver.Totals()
		t.Packets += n.Expected
		t.Lost += n.Expected - min(n.Received, n.Expected)
		t.Repaired += n.Repaired
		j.note(pub.source.Kind(), e.receiver.Jitter(), pub.clockRate())
	}
}

// delivered is what a client's receiver reports tell of one slot, and what was done about it.
//
// A packet that the publisher's uplink has lost leaves its number out of the slot, and the client
// reports it as missing. It was not lost on the client's downlink: such holes are taken off.
type delivered struct {
	count   uint64 // packets sent
	top     uint16 // the highest number among them
	holes   int64  // numbers below it that were not sent
	resent  uint64 // retransmissions
	failed  uint64 // packets that could not be sent
	missing uint64 // packets lost, and
	packets uint64 // how many were to arrive, both since the first report

	// Of the last report.
	at      time.Time // zero before the first
	highest uint32    // extended sequence number
	known   int64     // holes at the time
	jitter  uint32
	base    int64 // what the client had reported as lost, holes aside, when missing was 0
}

// sent notes a packet that was sent. One that comes late fills its hole.
func (d *delivered) sent(seq uint16) {
	d.count++
	switch ahead := int16(seq - d.top); {
	case d.count == 1:
		d.top = seq
	case ahead > 0:
		d.holes += int64(ahead) - 1
		d.top = seq
	default:
		d.holes--
	}
}

// maxReported bounds the packets of one slot between two reports, which come every few seconds. A
// report of more is broken or malicious and only sets the mark for the next.
const maxReported = 1 << 16

// report takes over one report block.
func (d *delivered) report(now time.Time, r rtcp.ReceptionReport) {
	lost := int64(int32(r.TotalLost<<8)>>8) - d.holes
	sent := int64(r.LastSequenceNumber - d.highest)
	if !d.at.IsZero() && sent < maxReported {
		sent = max(0, sent-(d.holes-d.known))
		d.packets += uint64(sent)
		// Never less than before: what is late was lost for a moment.
		d.missing += uint64(min(max(0, lost-d.base-int64(d.missing)), sent))
	} else {
		d.base = lost - int64(d.missing)
	}
	d.at, d.highest, d.known, d.jitter = now, r.LastSequenceNumber, d.holes, r.Jitter
}

// delivered takes over what a client's receiver reports tell of its slots.
func (p *Peer) delivered(now time.Time, reports []rtcp.ReceptionReport) {
	for _, r := range reports {
		if s := p.slotOf(r.SSRC); s != nil {
			s.mu.Lock()
			s.delivery.report(now, r)
			s.mu.Unlock()
		}
	}
}

// fresh is how old a report may be whose jitter counts: browsers report speech every 5 s.
const fresh = 6 * time.Second

// sum adds what was delivered through the slot; it returns how many packets could not be sent.
func (s *slot) sum(now time.Time, t *quality.Totals, j *jitters) (failed uint64) {
	rate := codec.Opus.ClockRate()
	if s.kind == codec.Video {
		rate = codec.VP8.ClockRate()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.delivery
	t.Packets += d.packets
	t.Lost += d.missing
	t.Repaired += d.resent
	if !d.at.IsZero() && now.Sub(d.at) < fresh {
		j.note(s.kind, d.jitter, rate)
	}
	return d.failed
}
