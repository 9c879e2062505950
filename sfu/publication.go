package sfu

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/layers"
	"github.com/bedside-video/bedside/sfu/opus"
	"github.com/bedside-video/bedside/sfu/redundancy"
	"github.com/bedside-video/bedside/sfu/uplink"
)

// Publication is one track that a participant sends: one encoding, or up to three of simulcast.
type Publication struct {
	peer   *Peer
	mid    string
	source codec.Source
	since  uint64 // order of publication in the room
	asks   bool   // what is lost of it is asked for

	started     atomic.Bool // media has come, or been announced, since the participant was admitted
	muted       atomic.Bool
	loudness    atomic.Uint32 // 0 silence .. 127 loudest, smoothed
	subscribers atomic.Pointer[[]*Subscription]
	tap         atomic.Pointer[tapping] // nil: not recorded

	mu        sync.Mutex
	encodings []*encoding       // in the order in which they were first heard of
	rates     []layers.Encoding // of encodings, at the same index
	wanted    []time.Time       // when each was last granted to somebody, at the same index
	carried   carried           // of a voice
	lowest    layers.Lowest
	uplink    *uplink.Estimator // of a microphone, by whose packets it is measured; else nil
	spared    bool              // pictures that the way up has no room for: what is lost of them is not asked for
}

// encoding is one incoming stream of a publication. It is the transport.Sink of its packets.
type encoding struct {
	publication *Publication
	rid         string
	stream      forward.Stream
	recent      *redundancy.Recent // of audio; of the goroutine that calls RTP alone, as is held
	held        []held             // <= heldPackets

	// The rest is guarded by Publication.mu.
	index     int
	ssrc      uint32 // 0 before the first packet
	receiver  forward.Receiver
	cache     forward.Cache
	keyFrame  forward.KeyFrame
	keyFrames forward.KeyFrameRequests
	reports   forward.SenderReports
}

// maxEncodings of one publication: simulcast has no more.
const maxEncodings = 3

// What one encoding keeps for retransmissions at most: a second of a shared screen at 2 Mbit/s.
const (
	cachePackets = 512
	cacheBytes   = 256 << 10
)

func newPublication(p *Peer, mid string, source codec.Source, since uint64, repeats bool) *Publication {
	pub := &Publication{peer: p, mid: mid, source: source, since: since, asks: repeats || source.Kind() == codec.Video}
	if source == codec.Mic {
		pub.uplink = new(uplink.Estimator)
	}
	pub.subscribers.Store(new([]*Subscription))
	return pub
}

// clockRate of the publication's RTP timestamps in Hz: every codec of a kind has the same.
func (pub *Publication) clockRate() uint32 {
	if pub.source.Kind() == codec.Audio {
		return codec.Opus.ClockRate()
	}
	return codec.VP8.ClockRate()
}

// open adds an encoding; nil when there are as many as simulcast has.
func (pub *Publication) open(rid string) *encoding {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if len(pub.encodings) == maxEncodings {
		return nil
	}
	e := &encoding{
		publication: pub, rid: rid, stream: pub.peer.room.server.newStream(), index: len(pub.encodings),
		receiver: forward.NewReceiver(pub.clockRate()), cache: forward.NewCache(cachePackets, cacheBytes),
	}
	if pub.source.Kind() == codec.Audio {
		e.recent = new(redundancy.Recent)
		e.receiver.Within(inTime)
	}
	pub.encodings = append(pub.encodings, e)
	pub.rates = append(pub.rates, layers.NewEncoding(rid))
	pub.wanted = append(pub.wanted, pub.peer.room.server.clock())
	return e
}

// RTP takes one packet of the encoding: see the path in the package documentation.
func (e *encoding) RTP(now time.Time, c codec.Name, p *codec.Packet, repaired bool) {
	pub := e.publication
	t := &pub.peer.tally
	t.received.Add(1)
	if !pub.peer.admitted.Load() {
		t.lobby.Add(1)
		e.withhold(now, p, repaired)
		return
	}
	if pub.muted.Load() {
		t.muted.Add(1)
		e.withhold(now, p, repaired)
		return
	}
	arrival := e.book(now, c, p, repaired)
	if arrival.nack != nil {
		pub.peer.send(arrival.nack)
	}
	if arrival.Drop {
		t.duplicates.Add(1)
		return
	}
	if repaired || arrival.Repaired {
		t.repaired.Add(1)
	}
	if !pub.started.Load() {
		pub.started.Store(true)
		pub.peer.room.wake()
	}
	if pub.source == codec.Mic {
		pub.listen(p)
	}
	if e.recent != nil {
		e.recent.Put(p)
	}
	e.hold(now, c, p, &arrival)
}

// withhold counts a packet that nobody gets, so that it is not missed later: not kept, not asked
// for again.
func (e *encoding) withhold(now time.Time, p *codec.Packet, repaired bool) {
	if e.recent != nil {
		e.recent.Clear() // nor carried by what follows
	}
	e.publication.mu.Lock()
	defer e.publication.mu.Unlock()
	e.count(now, p, repaired)
	e.publication.carried.known = false
	if e.publication.uplink != nil {
		e.publication.uplink.Pause()
	}
}

func (e *encoding) count(now time.Time, p *codec.Packet, repaired bool) forward.Arrival {
	if repaired {
		return e.receiver.Repair(now, p.Seq)
	}
	return e.receiver.Receive(now, p.Seq, p.Timestamp)
}

// book enters a packet into the encoding's books.
func (e *encoding) book(now time.Time, c codec.Name, p *codec.Packet, repaired bool) (b booked) {
	pub := e.publication
	pub.mu.Lock()
	defer pub.mu.Unlock()
	b.Arrival = e.count(now, p, repaired)
	video := pub.source.Kind() == codec.Video
	if pub.asks && e.ssrc != 0 {
		b.nack = e.nackLocked(now)
	}
	if b.Drop {
		return b
	}
	if !video && b.Newest && !repaired {
		pub.carried.came(p)
		if pub.uplink != nil {
			pub.uplink.Voice(now, pub.upward(p))
		}
	}
	if video {
		e.cache.Put(now, p)
		if p.KeyFrame && b.Newest {
			e.keyFrames.Arrived()
			b.translations = pub.translateLocked(e, p.Timestamp)
		}
		if e.keyFrame.Packet(now, p, b.Newest, &e.cache) && len(pub.encodings) > 1 {
			b.whole = e.wholeLocked(c)
			b.translations = pub.translateLocked(e, e.keyFrame.Timestamp())
		}
	}
	pub.rates[e.index].Packet(now, p)
	if first := e.ssrc == 0; !repaired {
		e.ssrc = p.SSRC
		if first {
			pub.startLocked(now, e, p.KeyFrame)
		}
	}
	if (p.KeyFrame || b.whole != nil) && pub.tap.Load() != nil {
		b.highest = pub.highestLocked(now)
	}
	return b
}

// upward is what tells of a packet of a voice how it came up.
func (pub *Publication) upward(p *codec.Packet) uplink.Packet {
	sent, ok := codec.SendTime(p.Extension(uint8(pub.peer.sendTimeID.Load())))
	return uplink.Packet{Seq: p.Seq, End: endOf(p), SendTime: sent, Stamped: ok, Bytes: pub.peer.conn.Inbound()}
}

// endOf is the RTP timestamp at which a packet of Opus was complete, and could be sent.
func endOf(p *codec.Packet) uint32 {
	return p.Timestamp + uint32(opus.Duration(p.Payload).Nanoseconds()*int64(codec.Opus.ClockRate())/int64(time.Second))
}

// wholeLocked returns the key frame that has just come whole, and what came after its first packet.
func (e *encoding) wholeLocked(c codec.Name) []codec.Packet {
	packets := e.keyFrame.Packets(&e.cache)
	for i := range packets {
		if p := &packets[i]; len(p.Payload) > 0 && p.ParsePayload(c) != nil {
			return nil // the codec has changed in its middle
		}
	}
	return packets
}

// nackLocked asks for what is missing; nil when nothing is.
func (e *encoding) nackLocked(now time.Time) rtcp.Packet {
	p := e.publication.peer
	rtt := p.roundTrip()
	if e.recent != nil && p.rtt.Load() == 0 {
		rtt = inTime * 3 / 4 // asked once: for a second time there is room only on a short path
	}
	missing := e.receiver.Nacks(now, rtt, nil)
	if len(missing) == 0 || e.publication.spared {
		return nil
	}
	p.tally.nacks.Add(uint64(len(missing)))
	return &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: e.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(missing)}
}

// listen follows the loudness that the publisher measures (RFC 6464), with a time constant of some
// five packets (100 ms) upwards and twenty downwards, so that a speaker does not flicker between
// words.
func (pub *Publication) listen(p *codec.Packet) {
	level, _, ok := codec.AudioLevel(p.Extension(uint8(pub.peer.levelID.Load())))
	if !ok {
		return
	}
	now, was := 127-int(level), int(pub.loudness.Load())
	step := (now - was) / 20
	if now > was {
		step = (now - was + 4) / 5
	} else if now < was && step == 0 {
		step = -1
	}
	pub.loudness.Store(uint32(was + step))
}

// cached copies the payload of one packet of a stream of this publication.
func (pub *Publication) cached(s forward.Stream, seq uint16, buf []byte) (payload []byte, marker, ok bool) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	for _, e := range pub.encodings {
		if e.stream == s {
			return e.cache.Get(seq, buf)
		}
	}
	return nil, false, false
}

// attach adds a subscription to the fan-out. The room's goroutine is the only caller of attach and
// detach, so the copy is safe.
func (pub *Publication) attach(s *Subscription) {
	list := append(slices.Clone(*pub.subscribers.Load()), s)
	pub.subscribers.Store(&list)
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if i := layers.Highest(pub.rates); i >= 0 {
		s.grant.Store(pub.startingWith(pub.encodings[i]))
	}
}

func (pub *Publication) detach(s *Subscription) {
	list := slices.DeleteFunc(slices.Clone(*pub.subscribers.Load()), func(x *Subscription) bool { return x == s })
	pub.subscribers.Store(&list)
}

// setMuted stops or restarts forwarding. After a mute, subscribers wait for a key frame: packets
// were kept from them. The end of a mute announces media, so that a screen has its slot before its
// first packet.
func (pub *Publication) setMuted(muted bool, now time.Time) {
	pub.muted.Store(muted)
	if muted {
		pub.loudness.Store(0)
		return
	}
	if pub.peer.admitted.Load() {
		pub.started.Store(true)
	}
	for _, s := range *pub.subscribers.Load() {
		s.slot.resync(s)
	}
	if t := pub.tap.Load(); t != nil {
		t.resync()
	}
	pub.control(now, false)
}

// shown tells whether the publication takes a slot. Camera and microphone have theirs from the
// moment their owner is in the room, media or not: assigned at the first packet, the slot would
// miss the key frame that the packet begins, and an encoder that has just made one answers the
// request for another only after up to 500 ms (Chromium 156, 2026-11-22). Muted, they keep it, so
// that nobody else appears in their place. Everything else comes and goes with its media.
func (pub *Publication) shown() bool {
	if pub.source == codec.Camera || pub.source == codec.Mic {
		return true
	}
	return pub.started.Load() && !pub.muted.Load()
}
