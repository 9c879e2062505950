package sfu

import (
	"slices"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/layers"
)

// linger is for how long an encoding that nobody receives any more is not stopped: a browser that stops
// one reconfigures its encoder, and people who look at somebody else look back.
const linger = 5 * time.Second

// booked is what the books say of one packet.
type booked struct {
	forward.Arrival
	nack         rtcp.Packet
	highest      forward.Stream            // what a tap is to have, with a key frame of what is tapped
	translations [maxEncodings]translation // of a key frame's timestamp
	whole        []codec.Packet            // a key frame of which nothing is missing any more, and what followed; else nil
}

// translation is one instant on the clock of a stream.
type translation struct {
	stream forward.Stream
	ts     uint32
}

// aligned returns the packet's timestamp on the clock of another stream of the publication.
func (b *booked) aligned(s forward.Stream) (uint32, bool) {
	for _, t := range b.translations {
		if t.stream == s && s != 0 {
			return t.ts, true
		}
	}
	return 0, false
}

// translateLocked returns a timestamp of e on the clocks of the other encodings, as far as sender reports
// have told both.
func (pub *Publication) translateLocked(e *encoding, ts uint32) (out [maxEncodings]translation) {
	if len(pub.encodings) < 2 {
		return out
	}
	at, ok := e.reports.Time(ts, pub.clockRate())
	if !ok {
		return out
	}
	for i, o := range pub.encodings {
		if ts, ok := o.reports.Timestamp(at, pub.clockRate()); ok && o != e {
			out[i] = translation{o.stream, ts}
		}
	}
	return out
}

// startingWith is a grant of all of an encoding, until something is decided.
func (pub *Publication) startingWith(e *encoding) *Grant {
	return &Grant{Stream: e.stream, asks: []int{e.index}, Grant: layers.Grant{
		Encoding: e.index, Temporal: layers.Temporals - 1, Next: -1, Reason: layers.ReasonStart,
	}}
}

// startLocked grants an encoding that begins to whoever has nothing, or nothing better because there was
// none: so nobody misses the key frame that it begins with, after which encoders are deaf for a while.
func (pub *Publication) startLocked(now time.Time, e *encoding, key bool) {
	grant := pub.startingWith(e)
	granted := false
	for _, s := range *pub.subscribers.Load() {
		g := s.grant.Load()
		if g != nil && g.Encoding >= 0 && (s.careful || layers.Highest(pub.rates) != e.index ||
			g.Reason != layers.ReasonStart && g.Reason != layers.ReasonHighest && g.Reason != layers.ReasonPublisher) {
			continue
		}
		s.grant.Store(grant)
		granted = true
	}
	if granted && !key && pub.source.Kind() == codec.Video && e.keyFrames.Want(now) {
		pub.sendKeyFrameRequest(e)
	}
}

// requestKeyFrame asks for a key frame of what a subscription receives or waits for, at the rate that
// forward.KeyFrameRequests allows. What is muted is asked when it comes back: its key frames reach nobody.
func (pub *Publication) requestKeyFrame(now time.Time, s *Subscription) {
	if pub.muted.Load() {
		return
	}
	stream, _, waits := s.waits(now)
	pub.mu.Lock()
	defer pub.mu.Unlock()
	for _, e := range pub.encodings {
		if waits && e.keyFrame.Arriving(now) {
			continue
		}
		if e.stream == stream && e.ssrc != 0 && pub.source.Kind() == codec.Video && e.keyFrames.Want(now) {
			pub.sendKeyFrameRequest(e)
		}
	}
}

func (pub *Publication) sendKeyFrameRequest(e *encoding) {
	pub.peer.room.server.metrics.keyRequests.Inc()
	pub.peer.send(&rtcp.PictureLossIndication{MediaSSRC: e.ssrc})
}

// control does what is due: key-frame requests and receiver reports.
func (pub *Publication) control(now time.Time, report bool) []rtcp.ReceptionReport {
	used, waited := pub.use(now)
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if report && pub.source == codec.Mic {
		pub.carried.decide(now)
	}
	var reports []rtcp.ReceptionReport
	for _, e := range pub.encodings {
		if e.ssrc == 0 {
			continue
		}
		switch {
		case pub.muted.Load() || !slices.Contains(used, e.stream):
			e.keyFrames.Cancel()
		case slices.Contains(waited, e.stream) && !e.keyFrame.Arriving(now) && e.keyFrames.Want(now) || e.keyFrames.Due(now):
			pub.sendKeyFrameRequest(e)
		}
		if report {
			reports = append(reports, receptionReport(e.ssrc, e.receiver.Report(now)))
		}
	}
	return reports
}

// use lists the streams that are received or to be received, and those whose key frame is waited for.
func (pub *Publication) use(now time.Time) (used, waited []forward.Stream) {
	if pub.source.Kind() != codec.Video {
		return nil, nil
	}
	for _, s := range *pub.subscribers.Load() {
		stream, current, waits := s.waits(now)
		used = append(used, stream, current)
		if waits {
			waited = append(waited, stream)
		}
	}
	if current, pending := pub.steerTap(); pending != 0 {
		used, waited = append(used, current, pending), append(waited, pending)
	}
	return used, waited
}

// demand lists the RIDs of the encodings that are to be sent, the lowest first; false for a publication
// without simulcast. The lowest always is: whoever comes has a picture at once. So are those that have
// not begun yet, of which nothing is known.
func (pub *Publication) demand(now time.Time) (rids []string, simulcast bool) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	for _, s := range *pub.subscribers.Load() {
		if g := s.grant.Load(); g != nil {
			for _, i := range g.asks {
				pub.wanted[i] = now
			}
		}
	}
	for n, i := range layers.Order(pub.rates) {
		if rid := pub.encodings[i].rid; rid != "" && (n == 0 || now.Sub(pub.wanted[i]) < linger || pub.encodings[i].ssrc == 0) {
			rids = append(rids, rid)
		}
	}
	if len(rids) == 0 {
		return nil, false
	}
	for _, rid := range layers.RIDs() {
		if !slices.ContainsFunc(pub.encodings, func(e *encoding) bool { return e.rid == rid }) {
			rids = append(rids, rid)
		}
	}
	slices.SortStableFunc(rids, func(a, b string) int { return slices.Index(layers.RIDs(), a) - slices.Index(layers.RIDs(), b) })
	return rids, true
}

// askLowest decides which bitrate is asked of the lowest encoding, 0 for none.
func (pub *Publication) askLowest(now time.Time) int {
	needed := 0
	for _, s := range *pub.subscribers.Load() {
		if n := int(s.needs.Load()); n > 0 && (needed == 0 || n < needed) {
			needed = n
		}
	}
	pub.mu.Lock()
	defer pub.mu.Unlock()
	was := pub.lowest.Asked()
	asked := pub.lowest.Decide(now, needed)
	if asked != was {
		pub.rates[layers.Order(pub.rates)[0]].Asked()
	}
	return asked
}

// toldLayers is what a client was last told of how to send a publication.
type toldLayers struct {
	rids   []string
	lowest int
}

// announceLayers tells p which of its encodings are to be sent, and how its audio, when that has changed.
func (p *Peer) announceLayers(now time.Time) {
	p.announceAudio()
	pubs, _ := p.media()
	for _, pub := range pubs {
		rids, simulcast := pub.demand(now)
		if !simulcast {
			continue
		}
		lowest := pub.askLowest(now)
		if p.bounds.alone {
			rids, lowest = []string{}, 0
		}
		if told, ok := p.layers[pub]; ok && slices.Equal(rids, told.rids) && lowest == told.lowest {
			continue
		}
		p.layers[pub] = toldLayers{rids, lowest}
		p.o.Events.Layers(pub.mid, rids, lowest)
	}
}
