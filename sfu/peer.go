package sfu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/layers"
	"github.com/bedside-video/bedside/sfu/slots"
	"github.com/bedside-video/bedside/sfu/transport"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// assumedRoundTrip stands in until a client's receiver report has told the real one: that of a
// mobile network.
const assumedRoundTrip = 100 * time.Millisecond

// Peer is one participant's connection to a room.
type Peer struct {
	room   *Room
	o      PeerOptions
	conn   connection
	closed sync.Once

	admitted  atomic.Bool // as of the last SetRoster; the packet path reads it
	connected atomic.Bool
	overflow  atomic.Bool  // TooManyStreams
	rtt       atomic.Int64 // time.Duration; 0 unknown
	terms
	tally tally
	spoke time.Time // when RTCP came last; of the goroutine that brings it

	mu           sync.Mutex
	publications map[string]*Publication // by mid
	inOrder      []*Publication
	slots        []*slot // as answered, in the order of m-lines
	bySSRC       map[uint32]*slot
	clock        forward.PublisherClock
	protection   protection

	path path

	seat // the room's goroutine alone
}

// terms are what the last answer settled.
type terms struct {
	levelID    atomic.Uint32 // of the audio level extension; 0 not negotiated
	sendTimeID atomic.Uint32 // of abs-send-time
	bounded    atomic.Bool   // the client takes REMB
}

// connection is a participant's media connection; *transport.Conn is one.
type connection interface {
	Answer(ctx context.Context, sdp string, check func([]transport.MLine) error) (transport.Negotiation, error)
	State() transport.State
	Close() error
	Inbound() uint64
	courier
}

// courier is the part of a connection that packets and what is told of them go through.
type courier interface {
	WriteRTCP(...rtcp.Packet) error
	TransportFeedback() []rtcp.Packet
	Acknowledge(x *twcc.Feedback, acks []bwe.Ack) []bwe.Ack
	Outbound() transport.Outbound
	MarkProbe(id uint8, bitrate int)
	releaser
}

// releaser is the part that lets packets wait.
type releaser interface {
	Pace(bitrate int, w transport.Waiter)
	Release(now time.Time) (waits bool)
}

// seat is what the room knows of a peer. Only the room's goroutine touches it.
type seat struct {
	state    transport.State
	up       time.Time // since when it is connected
	reported time.Time // when reports last went out
	failed   bool
	assigner *slots.Assigner
	seated   []*slot // the slots that the assigner knows
	epoch    uint64
	layout   layout
	layers   map[*Publication]toldLayers
	share    layers.Allocator
	dividing dividing
	audio    Audio // as told last
	bounds   bounds
	speakers []Level
}

// layout is what a peer shows, and since when.
type layout struct {
	tiles []Tile
	at    time.Time
}

// sitting is who is in a slot, as the client was last told.
type sitting struct {
	sub   *Subscription
	muted bool
	rtp   uint32
}

func newPeer(r *Room, o PeerOptions) *Peer {
	p := &Peer{
		room: r, o: o,
		publications: map[string]*Publication{}, bySSRC: map[uint32]*slot{},
	}
	p.path.estimator = newEstimator(r.server.first)
	p.path.current = p.path.estimator.Estimate()
	p.path.closing = make(chan struct{})
	p.layers = map[*Publication]toldLayers{}
	return p
}

// Answer answers the peer's offer. tracks names its sending m-lines. Errors wrap ErrBadOffer,
// ErrBadTrack, ErrCodecMismatch or ErrClosed.
func (p *Peer) Answer(ctx context.Context, sdp string, tracks []Track) (string, error) {
	n, err := p.conn.Answer(ctx, sdp, func(sends []transport.MLine) error { return p.checkTracks(sends, tracks) })
	if err != nil {
		return "", answerError(err)
	}
	if err := p.adopt(n, tracks); err != nil {
		return "", err
	}
	p.room.wake()
	return n.SDP, nil
}

// answerError says in the words of this package why an offer could not be answered.
func answerError(err error) error {
	switch {
	case errors.Is(err, transport.ErrOffer):
		return fmt.Errorf("%w: %w", ErrBadOffer, err)
	case errors.Is(err, transport.ErrCodec):
		return fmt.Errorf("%w: %w", ErrCodecMismatch, err)
	case errors.Is(err, transport.ErrClosed):
		return ErrClosed
	}
	return err
}

// checkTracks wants a permitted source for every sending m-line, and each source once.
func (p *Peer) checkTracks(sends []transport.MLine, tracks []Track) error {
	named := map[string]codec.Source{}
	used := map[codec.Source]bool{}
	for _, t := range tracks {
		if named[t.Mid] != "" || used[t.Source] {
			return fmt.Errorf("%w: a mid or a source is named twice", ErrBadTrack)
		}
		if !slices.Contains(p.o.Publish, t.Source) {
			return fmt.Errorf("%w: this role may not publish that source", ErrBadTrack)
		}
		named[t.Mid], used[t.Source] = t.Source, true
	}
	for i, l := range sends {
		source, ok := named[l.Mid]
		if !ok {
			return fmt.Errorf("%w: sending m-line %d has no source", ErrBadTrack, i+1)
		}
		if source.Kind() != l.Kind {
			return fmt.Errorf("%w: sending m-line %d is %s, its source is not", ErrBadTrack, i+1, l.Kind)
		}
		delete(named, l.Mid)
	}
	if len(named) > 0 {
		return fmt.Errorf("%w: a mid is not that of a sending m-line", ErrBadTrack)
	}
	return nil
}

// adopt takes over the publications and slots of an answer; those of earlier ones stay.
func (p *Peer) adopt(n transport.Negotiation, tracks []Track) error {
	p.levelID.Store(uint32(n.AudioLevelID))
	p.sendTimeID.Store(uint32(n.SendTimeID))
	p.bounded.Store(slices.ContainsFunc(n.Sends, func(l transport.MLine) bool { return l.Bounded }))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range tracks {
		if p.publications[t.Mid] == nil {
			repeats := slices.ContainsFunc(n.Sends, func(l transport.MLine) bool { return l.Mid == t.Mid && l.Repeats })
			pub := newPublication(p, t.Mid, t.Source, p.room.publications.Add(1), repeats)
			p.publications[t.Mid] = pub
			p.inOrder = append(p.inOrder, pub)
		}
	}
	for _, out := range n.Slots[min(len(p.slots), len(n.Slots)):] {
		rate := codec.Opus.ClockRate()
		if out.Kind == codec.Video {
			rate = codec.VP8.ClockRate()
		}
		r, err := p.room.server.newRewriter(rate)
		if err != nil {
			return err
		}
		p.slots = append(p.slots, &slot{mid: out.Mid, kind: out.Kind, index: out.Index, out: out, rewriter: r, shield: shield{purse: p}})
	}
	for _, s := range p.slots {
		if ssrc := s.out.SSRC(); ssrc != 0 {
			p.bySSRC[ssrc] = s
		}
	}
	return nil
}

// Mute stops or restarts the forwarding of the peer's m-line mid. ErrUnknownMid when the peer does
// not publish on it.
func (p *Peer) Mute(_ context.Context, mid string, muted bool) error {
	p.mu.Lock()
	pub := p.publications[mid]
	p.mu.Unlock()
	if pub == nil {
		return ErrUnknownMid
	}
	pub.setMuted(muted, p.room.server.clock())
	p.room.wake()
	return nil
}

// SetLayout takes over what the peer shows, and how large.
func (p *Peer) SetLayout(ctx context.Context, tiles []Tile) error {
	return p.room.do(ctx, func() {
		p.layout = layout{tiles, p.room.server.clock()}
		p.allocate(p.layout.at)
		p.room.wake()
	})
}

// Close takes the peer out of the room and closes its connection. When it returns nothing flows
// any more, and no event follows.
func (p *Peer) Close() error {
	p.closed.Do(func() {
		p.room.remove(p)
		p.path.close()
		_ = p.conn.Close()
		p.tally.flush(p.room.server.metrics)
		p.room.server.metrics.peers.Dec()
	})
	return nil
}

// media returns what the peer publishes and its slots.
func (p *Peer) media() ([]*Publication, []*slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inOrder[:len(p.inOrder):len(p.inOrder)], p.slots[:len(p.slots):len(p.slots)]
}

func (p *Peer) slotOf(ssrc uint32) *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bySSRC[ssrc]
}

// send sends RTCP; what does not go out is lost, as on the way.
func (p *Peer) send(packets ...rtcp.Packet) { _ = p.conn.WriteRTCP(packets...) }

func (p *Peer) roundTrip() time.Duration {
	if rtt := p.rtt.Load(); rtt > 0 {
		return time.Duration(rtt)
	}
	return assumedRoundTrip
}

// The rest makes a Peer a transport.Handler.

// Open takes an encoding of a publication that an answer has agreed to.
func (p *Peer) Open(mid, rid string) transport.Sink {
	p.mu.Lock()
	pub := p.publications[mid]
	p.mu.Unlock()
	if pub == nil {
		return nil
	}
	if e := pub.open(rid); e != nil {
		return e
	}
	return nil
}

// StateChanged wakes the room, which reads the state.
func (p *Peer) StateChanged() {
	p.connected.Store(p.conn.State() == transport.StateConnected)
	p.room.wake()
}

// TooManyStreams makes the room give the peer up.
func (p *Peer) TooManyStreams() {
	p.overflow.Store(true)
	p.room.wake()
}
