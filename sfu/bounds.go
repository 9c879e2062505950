package sfu

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/redundancy"
	"github.com/bedside-video/bedside/sfu/uplink"
)

const (
	// rembInterval is how often a limit is said again: it may have been lost. One that is lower is said at once.
	rembInterval = 500 * time.Millisecond
	// noLimit is said unlimitedTimes where there is none any more: libwebrtc forgets none by itself.
	noLimit        = 1_000_000_000
	unlimitedTimes = 4
	// smallPacket has 9 kbit/s of headers, where a packet of 20 ms has 28.
	smallPacket = 60 * time.Millisecond
)

// bounds are what a peer is told of its uplink, when that is full.
type bounds struct {
	limit     int // bit/s; 0: none
	said      time.Time
	unlimited int  // so often it is still to be said that there is none
	alone     bool // the uplink is the voice's
	small     bool // and that has to be small,
	voice     int  // bit/s that it is to have
	bare      bool // with no more copies than the client makes by itself
}

// bound follows what the peer's uplink carries, and returns what is to be said of it.
func (p *Peer) bound(now time.Time, pubs []*Publication) []rtcp.Packet {
	var v uplink.Verdict
	for _, pub := range pubs {
		if pub.uplink != nil {
			lost, of := lostPictures(pubs)
			v = pub.room(now, lost, of)
		}
	}
	b := &p.bounds
	was := *b
	b.alone, b.small = uplink.Alone(b.alone, v), uplink.Small(b.small, v)
	b.bare = b.alone && !v.Doubtful
	if b.voice = 0; b.alone {
		b.voice = uplink.Voice(b.small, v)
	}
	if b.voice != was.voice {
		p.announceAudio()
	}
	if b.alone != was.alone {
		spare(pubs, b.alone)
	}
	if b.alone != was.alone || b.small != was.small || b.bare != was.bare {
		p.room.server.log.Info("uplink", "room", p.room.id, "peer", p.o.ID, "room_for", v.Room, "pictures", !b.alone, "small_voice", b.small)
		p.announceLayers(now)
	}
	if b.limit = v.Limit; v.Limit == 0 && was.limit > 0 {
		b.unlimited = unlimitedTimes
	} else if v.Limit > 0 && was.limit == 0 {
		p.room.server.metrics.thinUplinks.Inc()
	}
	if !p.bounded.Load() || now.Sub(b.said) < rembInterval && b.limit >= was.limit {
		return nil
	}
	limit := b.limit
	switch {
	case limit > 0:
		b.unlimited = 0
	case b.unlimited > 0:
		b.unlimited--
		limit = noLimit
	default:
		return nil
	}
	b.said = now
	return []rtcp.Packet{&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: float32(limit), SSRCs: ssrcsOf(pubs)}}
}

// shape is what a voice is to be like for whom its listeners' paths ask for so much: as the way up has room for it.
func (b *bounds) shape(carry []int, asked int) (a Audio) {
	if !b.bare {
		a.Carry = carry
	}
	if a.Bitrate = redundancy.WithCopies(len(a.Carry), asked); b.voice > 0 && (a.Bitrate == 0 || a.Bitrate > b.voice) {
		a.Bitrate = b.voice
	}
	if b.small {
		a.Packet = smallPacket
	}
	return a
}

// spare makes lost pictures be asked for no more, or again. What has been asked for is sent in front of nothing, but on the same
// path as the voice: Chromium's pacer sends it at two and a half times its least, 82 kbit/s (156, 2026-11-23: for four seconds
// after the camera had stopped).
func spare(pubs []*Publication, spared bool) {
	for _, pub := range pubs {
		if pub.source.Kind() == codec.Video {
			pub.mu.Lock()
			pub.spared = spared
			pub.mu.Unlock()
		}
	}
}

// lostPictures counts the packets of pictures that did not come, repaired or not, and all.
func lostPictures(pubs []*Publication) (lost, of uint64) {
	for _, pub := range pubs {
		if pub.source.Kind() != codec.Video {
			continue
		}
		pub.mu.Lock()
		for _, e := range pub.encodings {
			n := e.receiver.Totals()
			of += n.Expected
			lost += n.Expected - min(n.Expected, n.Received)
		}
		pub.mu.Unlock()
	}
	return lost, of
}

// room is what the uplink carries of which the publication is the voice, while so many packets of pictures have been lost.
func (pub *Publication) room(now time.Time, lost, of uint64) uplink.Verdict {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	pub.uplink.Pictures(now, lost, of)
	return pub.uplink.Verdict(now)
}

// ssrcsOf lists what a peer sends.
func ssrcsOf(pubs []*Publication) (ssrcs []uint32) {
	for _, pub := range pubs {
		pub.mu.Lock()
		for _, e := range pub.encodings {
			if e.ssrc != 0 {
				ssrcs = append(ssrcs, e.ssrc)
			}
		}
		pub.mu.Unlock()
	}
	return ssrcs
}
