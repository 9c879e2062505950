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
type delivered struct {
	at      time.Time // of the last report; zero before the first
	highest uint32    // extended sequence number in it
	lost    int32     // and its cumulative number of packets lost, as 24 bits with sign
	jitter  uint32

	packets uint64 // sent, as far as reported, since the first report, and
	missing uint64 // of them, lost
	resent  uint64 // retransmissions
	failed  uint64 // packets that could not be sent
}

// maxReported bounds the packets of one slot between two reports, which come every few seconds. A
// report of more is broken or malicious and only sets the mark for the next.
const maxReported = 1 << 16

// report takes over one report block.
func (d *delivered) report(now time.Time, r rtcp.ReceptionReport) {
	lost := int32(r.TotalLost<<8) >> 8
	sent := r.LastSequenceNumber - d.highest
	if !d.at.IsZero() && sent < maxReported {
		d.packets += uint64(sent)
		d.missing += min(uint64(max(0, int64(lost)-int64(d.lost))), uint64(sent))
	}
	d.at, d.highest, d.lost, d.jitter = now, r.LastSequenceNumber, lost, r.Jitter
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
