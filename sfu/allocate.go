package sfu

import (
	"cmp"
	"slices"
	"time"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/layers"
)

// What a microphone takes that was asked for nothing else: Opus at 24 kbit/s, and in packets of 20 ms 50 a second, each
// with 56 bytes of IP, UDP, RTP and SRTP. A stethoscope is asked for nothing ever: heart sounds are not to be traded for
// pictures, and bedside.js sends them at 64.
const (
	voice        = 24_000
	stethoscope  = 64_000
	voiceHeaders = 50 * 56 * 8
)

// allocate divides what p's network takes among what p is shown. It is called on the room's goroutine.
func (p *Peer) allocate(now time.Time) {
	x := &p.dividing
	x.wants, x.ladders, x.seen = x.wants[:0], x.ladders[:0], x.seen[:0]
	copies, sound := p.leastCopies(), sound{}
	for _, s := range p.seated {
		if s.sitting == nil {
			continue
		}
		sub := s.sitting.sub
		if s.kind == codec.Audio {
			sound.add(sub.publication.soundRate(s.wrapping(copies)), s.quiet(), sub.publication.source)
			continue
		}
		x.seen = append(x.seen, seen{sub, sub.grant.Load()}) // before the ladder is looked at
		x.wants = append(x.wants, p.wants(sub))
	}
	budget := p.budget()
	audio := sound.of(budget.Bitrate)
	x.sound = audio
	soundOnly := p.soundOnly()
	p.share.SoundOnly(soundOnly)
	grants, wanted := p.share.Allocate(now, p.allowed(now, budget, audio, x.wants), audio, layers.ProfileOf(p.o.Profile), x.wants)
	if soundOnly {
		wanted = 0 // no padding: see protection.soundAlone
	}
	p.want(wanted)
	for i, s := range x.seen {
		s.sub.publication.grant(s.sub, s.grant, grants[i])
		s.sub.needs.Store(int32(p.share.Needs()[i]))
		p.tell(s.sub, s.grant, grants[i])
		if _, _, waits := s.sub.waits(now); waits {
			s.sub.publication.requestKeyFrame(now, s.sub)
		}
	}
	clear(x.seen) // of who leaves nothing stays
}

// dividing is memory that allocate uses again: without, it made most of a server's garbage.
type dividing struct {
	wants   []layers.Want
	ladders []layers.Rung // of the wants, one behind the other
	seen    []seen
	sound   int // bit/s that were kept for it
}

// seen is a subscription and its grant before anything was looked at.
type seen struct {
	sub   *Subscription
	grant *Grant
}

// sound is what voices take: in a conversation not all of it at once. Whoever has been the most silent may begin
// at any time and is counted whole, the others by how much of the last seconds they have spoken. That all speak
// happens, for half a second mostly, and takes a few tens of milliseconds of queue; reserving for it takes a
// third of a thin link from the picture. Where all of it would be more than a third, sound comes first, and has a
// third more: what begins at once with a picture makes no queue then (behind 180 kbit/s MOS 3.4 to 3.8 without, 3.6 to 4.0 with it).
type sound struct{ said, silent, whole int }

func (x *sound) add(rate int, quiet float64, source codec.Source) {
	if source != codec.Mic {
		quiet = 0 // a stethoscope is listened to whole
	}
	silent := int(float64(rate) * quiet)
	x.whole += rate
	x.said += rate - silent
	x.silent = max(x.silent, silent)
}

// of is what is kept for sound of a budget.
func (x *sound) of(budget int) int {
	if 3*x.whole > budget {
		return max(x.whole, min(x.whole*4/3, budget*2/3))
	}
	return x.said + x.silent
}

// soundOnly tells whether nothing but sound is looked for on p's path: see protection.soundAlone.
func (p *Peer) soundOnly() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.protection.alone
}

// allowed is what may be sent to p. Until something is known of its path, and at least until something has
// held it back, that is the lowest layer of everybody.
func (p *Peer) allowed(now time.Time, budget bwe.Estimate, audio int, wants []layers.Want) int {
	if budget.State != bwe.Start {
		return budget.Bitrate
	}
	p.share.Anew() // it only grows, and every first second counts
	least := layers.Least(audio, wants)
	if !budget.Known && budget.Bitrate < openBitrate && (p.up.IsZero() || now.Sub(p.up) < unknownFor) {
		return least
	}
	return max(budget.Bitrate, least)
}

// soundRate is what a publication of sound takes in bit/s when each packet has so many frames and carries so many
// earlier packets.
func (pub *Publication) soundRate(frames, copies int) int {
	if pub.muted.Load() {
		return 0
	}
	said := stethoscope
	if pub.source == codec.Mic {
		said = cmp.Or(pub.asked(), voice)
	}
	return said + voiceHeaders/frames + copies*(said+50*4*8/frames) // RFC 2198: four bytes before each copy
}

// wants describes one video subscription of p.
func (p *Peer) wants(sub *Subscription) layers.Want {
	pub := sub.publication
	w := layers.Want{ID: pub.since, Source: pub.source, Signs: pub.peer.o.NeverEvict, Speaking: pub.peer.speaks()}
	// Who is not in a layout is not shown. One from before they came says nothing of them.
	w.Placed = len(p.layout.tiles) > 0 && p.layout.at.After(sub.since)
	for _, t := range p.layout.tiles {
		if t.Peer == pub.peer.o.ID && t.Source == pub.source {
			w.Placed, w.Pinned = true, t.Pinned
			w.Height = t.Height
			if t.Width > 0 { // a picture of 16:9 fits in
				w.Height = min(t.Height, t.Width*9/16)
			}
		}
	}
	pub.mu.Lock()
	defer pub.mu.Unlock()
	x, from := &p.dividing, len(p.dividing.ladders)
	x.ladders = layers.Ladder(x.ladders, pub.rates)
	w.Ladder = x.ladders[from:len(x.ladders):len(x.ladders)]
	return w
}

// grant makes g the grant of a subscription, unless that has changed since it was seen: then an encoding has
// begun, and g knows nothing of it.
func (pub *Publication) grant(sub *Subscription, seen *Grant, g layers.Grant) {
	if seen != nil && seen.Grant == g {
		return
	}
	next := &Grant{Grant: g}
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if g.Encoding >= 0 {
		next.Stream = pub.encodings[g.Encoding].stream
		next.asks = []int{g.Encoding}
	}
	if g.Next >= 0 {
		order := layers.Order(pub.rates)
		for _, i := range order[slices.Index(order, g.Encoding)+1:] {
			next.Better = append(next.Better, pub.encodings[i].stream)
			next.asks = append(next.asks, i)
			if i == g.Next {
				break
			}
		}
	}
	if g.Encoding >= 0 || seen == nil {
		sub.grant.CompareAndSwap(seen, next)
	}
}

// tell logs what a subscription is granted from now on, and why.
func (p *Peer) tell(sub *Subscription, was *Grant, g layers.Grant) {
	if was != nil && was.Encoding == g.Encoding && was.Mode == g.Mode && was.Temporal == g.Temporal && was.Skip == g.Skip {
		return
	}
	p.room.server.log.Debug("grant", "room", p.room.id, "peer", p.o.ID, "of", sub.publication.peer.o.ID,
		"source", sub.publication.source, "encoding", g.Encoding, "temporal", g.Temporal, "skip", g.Skip, "mode", g.Mode, "reason", g.Reason)
}

// speaks tells whether p is speaking.
func (p *Peer) speaks() bool {
	pubs, _ := p.media()
	for _, pub := range pubs {
		if int(pub.loudness.Load()) >= speaking {
			return true
		}
	}
	return false
}
