package sfu

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/slots"
	"github.com/bedside-video/bedside/sfu/transport"
)

// Room is the media plane of one consultation.
type Room struct {
	server       *Server
	id           string
	o            RoomOptions
	publications atomic.Uint64 // counts them, for their order
	commands     chan func()   // unbuffered: whoever sends waits for the room, and with a context
	woken        chan struct{} // capacity 1: any number of wakes is one
	waits        chan struct{} // capacity 1, likewise: for release
	holds        chan struct{} // capacity 1, likewise: for joined voices
	done         chan struct{}
	closed       sync.Once
	running      sync.WaitGroup

	// The room's goroutine alone.
	peers    []*Peer // in the order in which they joined
	admitted map[string]bool
	captured map[string]bool // of capture
	capture  Capture
	crowded  bool // somebody has fewer slots than there are to be put into them
}

func newRoom(s *Server, id string, o RoomOptions) *Room {
	r := &Room{
		server: s, id: id, o: o,
		commands: make(chan func()), woken: make(chan struct{}, 1), waits: make(chan struct{}, 1), holds: make(chan struct{}, 1), done: make(chan struct{}),
		admitted: map[string]bool{}, captured: map[string]bool{},
	}
	r.running.Go(r.run)
	return r
}

// speakerInterval is how often it is decided who speaks: often enough to follow a conversation. It is not a
// round one, lest it fall on that of control: two ticks at one instant have no order.
const speakerInterval = 250_300 * time.Microsecond

// run is the single writer of the room's membership.
func (r *Room) run() {
	speakers, control := time.NewTicker(speakerInterval), time.NewTicker(controlInterval)
	defer speakers.Stop()
	defer control.Stop()
	release, voices := newRelease(releaseInterval), newRelease(joinInterval)
	defer release.timer.Stop()
	defer voices.timer.Stop()
	for {
		select {
		case f := <-r.commands:
			f()
		case <-r.woken:
			r.reconcile(r.server.clock())
		case <-r.waits:
			release.begin()
		case <-release.timer.C:
			release.tick(r.server.clock(), r.peers)
		case <-r.holds:
			voices.begin()
		case <-voices.timer.C:
			voices.voices(r.server.clock(), r.peers)
		case <-control.C:
			now := r.server.clock()
			for _, p := range r.peers {
				p.control(now)
			}
		case <-speakers.C:
			if r.crowded {
				r.reconcile(r.server.clock()) // voices gain and lose slots by how long they last
			} else {
				r.announceLayers(r.server.clock())
			}
			r.announceSpeakers()
		case <-r.done:
			return
		}
	}
}

// do runs f on the room's goroutine and waits for it.
func (r *Room) do(ctx context.Context, f func()) error {
	finished := make(chan struct{})
	select {
	case r.commands <- func() { f(); close(finished) }:
		<-finished
		return nil
	case <-r.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake makes the room look at what has changed; it never waits.
func (r *Room) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// Join adds a peer that is not admitted: its connection may come up, but no media flows until
// SetRoster names it. The caller owns the Peer and closes it.
func (r *Room) Join(ctx context.Context, o PeerOptions) (*Peer, error) {
	p := newPeer(r, o)
	conn, err := r.server.engine(r.o).Open(p)
	if err != nil {
		return nil, fmt.Errorf("sfu: %w", err)
	}
	p.conn = conn
	if err := r.add(ctx, p); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return p, nil
}

func (r *Room) add(ctx context.Context, p *Peer) error {
	duplicate := false
	err := r.do(ctx, func() {
		if duplicate = r.peer(p.o.ID) != nil; !duplicate {
			r.peers = append(r.peers, p)
			p.reported = r.server.clock()
			p.admitted.Store(r.admitted[p.o.ID])
		}
	})
	if duplicate {
		err = ErrDuplicatePeer
	}
	if err != nil {
		return err
	}
	r.server.metrics.peers.Inc()
	return nil
}

// SetRoster is the one call through which media starts and stops: it flows only between peers
// named in admitted. Call it with a newcomer only after the roster that names them is in every
// participant's queue; call it without a leaver before the roster without them is sent. When it
// returns, nothing flows any more to or from anybody else.
func (r *Room) SetRoster(ctx context.Context, admitted []string) error {
	return r.do(ctx, func() {
		clear(r.admitted)
		for _, id := range admitted {
			r.admitted[id] = true
		}
		for _, p := range r.peers {
			in := r.admitted[p.o.ID]
			if was := p.admitted.Swap(in); was && !in {
				p.silence()
			}
		}
		r.reconcile(r.server.clock())
	})
}

// Close closes every peer and waits for their goroutines and its own.
func (r *Room) Close() error {
	r.closed.Do(func() {
		var peers []*Peer
		_ = r.do(context.Background(), func() { peers = slices.Clone(r.peers) })
		for _, p := range peers {
			_ = p.Close()
		}
		close(r.done)
		r.running.Wait()
		r.server.forget(r)
	})
	return nil
}

// remove takes p out; nothing flows to or from it when remove returns.
func (r *Room) remove(p *Peer) {
	_ = r.do(context.Background(), func() {
		r.peers = slices.DeleteFunc(r.peers, func(x *Peer) bool { return x == p })
		p.admitted.Store(false)
		p.o.Events = mute{}
		pubs, _ := p.media()
		for _, pub := range pubs {
			pub.untap(tapLeft)
		}
		r.settle(r.server.clock(), p, nil)
		r.reconcile(r.server.clock())
	})
}

func (r *Room) peer(id string) *Peer {
	for _, p := range r.peers {
		if p.o.ID == id {
			return p
		}
	}
	return nil
}

// reconcile derives from the state of things who sits where, and tells whoever is concerned.
func (r *Room) reconcile(now time.Time) {
	r.crowded = false
	for _, p := range r.peers {
		r.follow(p)
	}
	r.tap()
	var shown []*Publication
	for _, p := range r.peers {
		if !r.present(p) {
			continue
		}
		pubs, _ := p.media()
		for _, pub := range pubs {
			if pub.shown() {
				shown = append(shown, pub)
			}
		}
	}
	for _, p := range r.peers {
		if r.present(p) && p.o.Subscribe {
			r.settle(now, p, shown)
		} else {
			r.settle(now, p, nil)
		}
	}
	r.announceLayers(now)
}

// announceLayers tells publishers which of their layers anybody wants, when that has changed.
func (r *Room) announceLayers(now time.Time) {
	for _, p := range r.peers {
		p.announceLayers(now)
	}
}

// present tells whether media may flow to and from p.
func (r *Room) present(p *Peer) bool {
	return r.admitted[p.o.ID] && !p.failed && p.state == transport.StateConnected
}

// follow takes over the state of p's connection.
func (r *Room) follow(p *Peer) {
	if p.failed {
		return
	}
	state := p.conn.State()
	switch {
	case p.overflow.Load():
		r.fail(p, FailedSSRCLimit)
	case state == p.state:
	case state == transport.StateFailed:
		r.fail(p, FailedTransport)
	case state == transport.StateConnected:
		p.o.Events.Transport(TransportConnected)
	case state == transport.StateDisconnected:
		p.o.Events.Transport(TransportDisconnected)
	}
	p.state = state
}

// fail gives p up. Its owner is told, and nothing more after that, and closes it.
func (r *Room) fail(p *Peer, reason FailReason) {
	p.failed = true
	r.server.log.Info("connection given up", "room", r.id, "peer", p.o.ID, "reason", string(reason))
	p.o.Events.Failed(reason)
	p.o.Events = mute{}
}

// settle puts the publications of others that p is to receive into its slots.
func (r *Room) settle(now time.Time, p *Peer, shown []*Publication) {
	_, all := p.media()
	if len(all) == 0 {
		return
	}
	p.grow(all)
	byOccupant := map[slots.Occupant]*Publication{}
	wanted := make([]slots.Publication, 0, len(shown))
	for _, pub := range shown {
		if pub.peer == p {
			continue
		}
		o := slots.Occupant{Peer: pub.peer.o.ID, Source: pub.source}
		byOccupant[o] = pub
		wanted = append(wanted, slots.Publication{
			Occupant: o, NeverEvict: pub.peer.o.NeverEvict, Loudness: int(pub.loudness.Load()),
			Pinned: p.pins(o), Since: pub.since,
		})
	}
	r.crowded = r.crowded || len(wanted) > p.occupied() // as they are before this, which errs on the side of looking again
	var changed []Assignment
	for _, c := range p.assigner.Assign(now, wanted) {
		changed = append(changed, r.seat(now, p, p.slotAt(c.Kind, c.Index), byOccupant[c.Occupant]))
	}
	for _, s := range p.seated {
		t := s.sitting
		if t == nil || t.muted == t.sub.publication.muted.Load() {
			continue
		}
		t.muted = !t.muted
		if a := p.assignment(s); !slices.ContainsFunc(changed, func(x Assignment) bool { return x.Mid == a.Mid }) {
			changed = append(changed, a)
		}
	}
	if len(changed) > 0 {
		p.allocate(now)
		p.epoch++
		p.o.Events.Slots(p.epoch, changed)
	}
}

// seat empties a slot and, unless pub is nil, hands it to pub.
func (r *Room) seat(now time.Time, p *Peer, s *slot, pub *Publication) Assignment {
	if old := s.sitting; old != nil {
		old.sub.publication.detach(old.sub)
		s.sitting = nil
	}
	if pub == nil {
		return Assignment{Mid: s.mid, RTP: s.assign(now, nil)}
	}
	if !r.admitted[p.o.ID] || !r.admitted[pub.peer.o.ID] {
		// Cannot happen: reconcile only offers what is present. It is looked at once more because
		// nothing else stands between a mistake there and a stranger in the room.
		r.server.metrics.violations[invariantHiddenSubscriber].Inc()
		r.server.log.Error("invariant violated: subscriber not in the roster", "room", r.id, "peer", p.o.ID)
		return Assignment{Mid: s.mid, RTP: s.assign(now, nil)}
	}
	sub := &Subscription{publication: pub, slot: s, since: now, careful: p.budget().Bitrate < openBitrate}
	rtp := s.assign(now, sub)
	s.sitting = &sitting{sub: sub, muted: pub.muted.Load(), rtp: rtp}
	pub.attach(sub)
	return p.assignment(s)
}

// assignment tells who is in s.
func (p *Peer) assignment(s *slot) Assignment {
	t := s.sitting
	pub := t.sub.publication
	return Assignment{Mid: s.mid, Peer: pub.peer.o.ID, Source: pub.source, Muted: t.muted, RTP: t.rtp}
}

// grow makes the slots known to the assigner.
func (p *Peer) grow(all []*slot) {
	if len(all) == len(p.seated) {
		return
	}
	var count SlotCount
	for _, s := range all[len(p.seated):] {
		if s.kind == codec.Audio {
			count.Audio++
		} else {
			count.Video++
		}
	}
	if p.assigner == nil {
		p.assigner = slots.New(count.Audio, count.Video)
	} else {
		p.assigner.Grow(count.Audio, count.Video)
	}
	p.seated = all
}

// occupied is how many of the slots somebody sits in.
func (p *Peer) occupied() (n int) {
	for _, s := range p.seated {
		if s.sitting != nil {
			n++
		}
	}
	return n
}

func (p *Peer) slotAt(kind codec.Kind, index int) *slot {
	for _, s := range p.seated {
		if s.kind == kind && s.index == index {
			return s
		}
	}
	panic("sfu: internal error: the assigner knows a slot that is none")
}

func (p *Peer) pins(o slots.Occupant) bool {
	return slices.ContainsFunc(p.layout.tiles, func(t Tile) bool { return t.Pinned && t.Peer == o.Peer && t.Source == o.Source })
}

// silence forgets that p's media has ever flowed: when it is admitted again it starts anew.
func (p *Peer) silence() {
	pubs, _ := p.media()
	for _, pub := range pubs {
		pub.started.Store(false)
		pub.loudness.Store(0)
	}
}

// mute takes the events of a peer that has left.
type mute struct{}

func (mute) Slots(uint64, []Assignment)   {}
func (mute) Layers(string, []string, int) {}
func (mute) Audio(Audio)                  {}
func (mute) Speakers([]Level)             {}
func (mute) Transport(TransportState)     {}
func (mute) Failed(FailReason)            {}
