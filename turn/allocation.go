package turn

import (
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v4"

	"github.com/bedside-video/bedside/turn/policy"
)

// allocation is one relayed address and its client.
type allocation struct {
	relay       *Relay
	client      client
	holder      policy.Holder
	ipv6        bool
	transaction [stun.TransactionIDSize]byte // that made it

	mu       sync.Mutex
	closed   bool
	line     Line // nil before open
	expires  time.Time
	peers    [policy.MaxPeers]peerState
	up, down policy.Rate
}

// peerState is what the client may exchange with one peer.
type peerState struct {
	permitted time.Time // until
	channel   uint16    // 0: none
	bound     time.Time // until
}

// open gives the allocation its line; false tells that it has ended in the meantime.
func (a *allocation) open(l Line) bool {
	a.mu.Lock()
	closed := a.closed
	if !closed {
		a.line = l
	}
	a.mu.Unlock()
	if closed {
		l.Close()
	}
	return !closed
}

// end closes the line.
func (a *allocation) end() {
	a.mu.Lock()
	a.closed = true
	l := a.line
	a.mu.Unlock()
	if l != nil {
		l.Close()
	}
	a.client.ended()
}

func (a *allocation) expired(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed || !now.Before(a.expires)
}

// state returns the relayed address and the seconds that the allocation has left.
func (a *allocation) state(now time.Time) (netip.AddrPort, uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := uint32(max(a.expires.Sub(now), 0) / time.Second)
	if a.line == nil { // retransmitted while it is being opened
		return netip.AddrPort{}, left
	}
	return a.line.Address(), left
}

func (a *allocation) refresh(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expires = now.Add(allocationLife)
}

// permit lets a peer be reached; with all, every peer that has its address.
func (a *allocation) permit(now time.Time, peer int, all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	until := now.Add(permissionLife)
	a.peers[peer].permitted = until
	if !all {
		return
	}
	list := a.relay.o.Peers.All()
	for i := range list {
		if list[i].Addr() == list[peer].Addr() {
			a.peers[i].permitted = until
		}
	}
}

// bind gives a peer a channel, which is a permission, too. It is false if either has another.
func (a *allocation) bind(now time.Time, channel uint16, peer int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.peers {
		p := &a.peers[i]
		if p.channel != 0 && now.Before(p.bound) && (p.channel == channel) != (i == peer) {
			return false
		}
	}
	for i := range a.peers { // what has expired is free again
		if a.peers[i].channel == channel {
			a.peers[i].channel = 0
		}
	}
	a.peers[peer] = peerState{permitted: now.Add(permissionLife), channel: channel, bound: now.Add(channelLife)}
	return true
}

// channelPeer returns whom a channel is bound to.
func (a *allocation) channelPeer(now time.Time, channel uint16) (int, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.peers {
		if p := &a.peers[i]; p.channel == channel && channel != 0 {
			return i, now.Before(p.bound)
		}
	}
	return 0, false
}

func (a *allocation) permitted(now time.Time, peer int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peers[peer].may(now)
}

func (p *peerState) may(now time.Time) bool {
	return now.Before(p.permitted) || p.channel != 0 && now.Before(p.bound)
}

// toPeer relays what the client sends; that it may has been seen to.
func (a *allocation) toPeer(now time.Time, b []byte, peer int) {
	stats := &a.relay.stats
	a.mu.Lock()
	line, alive := a.line, !a.closed && now.Before(a.expires)
	fits := alive && a.up.Allow(now, len(b))
	a.mu.Unlock()
	switch {
	case !alive || line == nil:
		stats.drop(dropForbidden)
	case !fits:
		stats.drop(dropRate)
	default:
		stats.up.count(len(b))
		line.Send(b, peer)
	}
}

// fromPeer relays what a peer sends.
func (a *allocation) fromPeer(b []byte, peer int) bool {
	stats := &a.relay.stats
	now := a.relay.o.Clock()
	a.mu.Lock()
	p := &a.peers[peer]
	may := !a.closed && now.Before(a.expires) && p.may(now)
	fits := may && a.down.Allow(now, len(b))
	channel := p.channel
	if channel != 0 && !now.Before(p.bound) {
		channel = 0
	}
	a.mu.Unlock()
	switch {
	case !may:
		stats.drop(dropForbidden)
		return false
	case !fits:
		stats.drop(dropRate)
		return false
	}
	sent := false
	if channel != 0 {
		sent = a.client.channel(channel, b)
	} else {
		sent = a.client.message(a.dataIndication(b, peer))
	}
	if !sent {
		stats.drop(dropSlow)
		return false
	}
	stats.down.count(len(b))
	return true
}

// dataIndication is RFC 8656 section 11.4: for what comes before there is a channel.
func (a *allocation) dataIndication(b []byte, peer int) []byte {
	m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodData, stun.ClassIndication),
		xor{stun.AttrXORPeerAddress, a.relay.o.Peers.At(peer)}, plain{stun.AttrData, b})
	if err != nil {
		return nil
	}
	return m.Raw
}
