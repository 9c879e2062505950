package turn

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v4"

	"github.com/bedside-video/bedside/turn/policy"
)

// protocolUDP is the transport of what is relayed (RFC 8656 section 18.7); that of RFC 6062, TCP, is
// not offered: media is UDP.
const protocolUDP = 17

// The address families of RFC 8656 section 18.9.
const (
	familyIPv4 = 1
	familyIPv6 = 2
)

// request takes a STUN message.
func (r *Relay) request(c client, b []byte) {
	m := r.stats.messages.get()
	defer r.stats.messages.put(m)
	if !parse(m, b) {
		r.stats.drop(dropMalformed)
		return
	}
	now := r.o.Clock()
	if m.Type == stun.NewType(stun.MethodSend, stun.ClassIndication) {
		r.sendIndication(now, c, m)
		return
	}
	handle, known := r.handler(m.Type)
	if !known { // Binding among them: clients ask this server for nothing but to be relayed
		r.stats.drop(dropUnknownRequest)
		return
	}
	id, err := r.authenticate(now, c, m)
	if err != nil {
		return
	}
	if unknown := unknownAttributes(m); unknown != nil {
		r.refuse(c, m, id, stun.CodeUnknownAttribute, unknown)
		return
	}
	handle(now, c, m, id)
}

func (r *Relay) handler(t stun.MessageType) (handle func(time.Time, client, *stun.Message, identity), known bool) {
	if t.Class != stun.ClassRequest {
		return nil, false
	}
	switch t.Method {
	case stun.MethodAllocate:
		return r.allocate, true
	case stun.MethodRefresh:
		return r.refresh, true
	case stun.MethodCreatePermission:
		return r.createPermission, true
	case stun.MethodChannelBind:
		return r.channelBind, true
	}
	return nil, false
}

// unknownAttributes returns the attribute that names those of m that we would have to understand but
// do not (RFC 8489 section 6.3.1); nil if there are none.
func unknownAttributes(m *stun.Message) stun.Setter {
	known := []stun.AttrType{
		stun.AttrUsername, stun.AttrRealm, stun.AttrNonce, stun.AttrMessageIntegrity, stun.AttrMessageIntegritySHA256,
		stun.AttrChannelNumber, stun.AttrLifetime, stun.AttrXORPeerAddress, stun.AttrData,
		stun.AttrRequestedTransport, stun.AttrRequestedAddressFamily, stun.AttrEvenPort,
	}
	var names []byte
	for i := range m.Attributes {
		if t := m.Attributes[i].Type; t.Required() && !slices.Contains(known, t) {
			names = binary.BigEndian.AppendUint16(names, uint16(t))
		}
	}
	if names == nil {
		return nil
	}
	return plain{stun.AttrUnknownAttributes, names}
}

// allocate is RFC 8656 section 7.2.
func (r *Relay) allocate(now time.Time, c client, m *stun.Message, id identity) {
	if a := r.find(c.address()); a != nil && !a.expired(now) {
		if a.transaction != m.TransactionID { // the same one again is a retransmission
			r.refuse(c, m, id, stun.CodeAllocMismatch)
			return
		}
		r.allocated(now, c, m, id, a)
		return
	}
	ipv6, code := r.wants(m)
	switch {
	case code != 0:
		r.refuse(c, m, id, code)
		return
	case !id.Fresh:
		r.refuse(c, m, id, stun.CodeForbidden)
		return
	}
	a := &allocation{
		relay: r, client: c, ipv6: ipv6, transaction: m.TransactionID, expires: now.Add(allocationLife),
		holder: policy.Holder{Username: id.username, Owner: id.Owner, Source: policy.Source(c.address().Addr())},
		up:     policy.NewRate(now, r.o.Limits.Bitrate), down: policy.NewRate(now, r.o.Limits.Bitrate),
	}
	if old := r.find(c.address()); old != nil { // expired, and not swept yet
		r.remove(old)
	}
	if code := r.start(a); code != 0 {
		r.refuse(c, m, id, code)
		return
	}
	r.allocated(now, c, m, id, a)
}

// start counts an allocation and opens its line.
func (r *Relay) start(a *allocation) stun.ErrorCode {
	switch r.add(a) {
	case policy.Exhausted:
		return stun.CodeAllocQuotaReached
	case policy.Full:
		return stun.CodeInsufficientCapacity
	}
	line, err := r.o.Host.Open(a.ipv6, a.fromPeer)
	if err != nil || !a.open(line) {
		r.remove(a)
		return stun.CodeInsufficientCapacity
	}
	return 0
}

func (r *Relay) allocated(now time.Time, c client, m *stun.Message, id identity, a *allocation) {
	at, left := a.state(now)
	r.grant(c, m, id, xor{stun.AttrXORRelayedAddress, at}, xor{stun.AttrXORMappedAddress, mapped(c)}, lifetime(left))
}

// wants reads what an Allocate request asks for; a code refuses it.
func (r *Relay) wants(m *stun.Message) (ipv6 bool, code stun.ErrorCode) {
	transport, there, ok := number(m, stun.AttrRequestedTransport)
	switch {
	case !there || !ok:
		return false, stun.CodeBadRequest
	case transport>>24 != protocolUDP:
		return false, stun.CodeUnsupportedTransProto
	}
	// Every relayed port is even, but none is kept for a second allocation.
	if even, err := m.Get(stun.AttrEvenPort); err == nil && (len(even) != 1 || even[0]&0x80 != 0) {
		return false, stun.CodeInsufficientCapacity
	}
	family, there, ok := number(m, stun.AttrRequestedAddressFamily)
	switch {
	case !ok:
		return false, stun.CodeBadRequest
	case !there: // RFC 8656 section 7.2 says IPv4; if there is none, what there is
		return !r.o.Peers.Reaches(false), 0
	case family>>24 == familyIPv4 && r.o.Peers.Reaches(false):
		return false, 0
	case family>>24 == familyIPv6 && r.o.Peers.Reaches(true):
		return true, 0
	}
	return false, stun.CodeAddrFamilyNotSupported
}

// own returns the client's allocation; if it has none that it may speak of, it is told so.
func (r *Relay) own(now time.Time, c client, m *stun.Message, id identity) *allocation {
	a := r.find(c.address())
	switch {
	case a == nil || a.expired(now):
		r.refuse(c, m, id, stun.CodeAllocMismatch)
		return nil
	case a.holder.Username != id.username:
		r.refuse(c, m, id, stun.CodeWrongCredentials)
		return nil
	}
	return a
}

// refresh is RFC 8656 section 8.2.
func (r *Relay) refresh(now time.Time, c client, m *stun.Message, id identity) {
	a := r.own(now, c, m, id)
	if a == nil {
		return
	}
	wanted, there, ok := number(m, stun.AttrLifetime)
	if !ok {
		r.refuse(c, m, id, stun.CodeBadRequest)
		return
	}
	if there && wanted == 0 {
		r.grant(c, m, id, lifetime(0))
		r.remove(a)
		return
	}
	a.refresh(now)
	_, left := a.state(now)
	r.grant(c, m, id, lifetime(left))
}

var errForbidden, errFamily = errors.New("not a peer"), errors.New("another family")

// createPermission is RFC 8656 section 10.2. One address that is none of ours refuses all.
func (r *Relay) createPermission(now time.Time, c client, m *stun.Message, id identity) {
	a := r.own(now, c, m, id)
	if a == nil {
		return
	}
	list, ok := addresses(m, stun.AttrXORPeerAddress)
	if !ok {
		r.refuse(c, m, id, stun.CodeBadRequest)
		return
	}
	peers := make([]int, len(list))
	for i, at := range list {
		peer, err := r.peer(a, at, r.o.Peers.FindHost)
		if err != nil {
			r.refusePeer(c, m, id, err)
			return
		}
		peers[i] = peer
	}
	for i, p := range peers {
		a.permit(now, p, list[i].Port() == 0)
	}
	r.grant(c, m, id)
}

// channelBind is RFC 8656 section 12.2.
func (r *Relay) channelBind(now time.Time, c client, m *stun.Message, id identity) {
	a := r.own(now, c, m, id)
	if a == nil {
		return
	}
	list, ok := addresses(m, stun.AttrXORPeerAddress)
	channel, there, whole := number(m, stun.AttrChannelNumber)
	n := uint16(channel >> 16)
	if !ok || !there || !whole || len(list) != 1 || n < minChannel || n > maxChannel {
		r.refuse(c, m, id, stun.CodeBadRequest)
		return
	}
	peer, err := r.peer(a, list[0], r.o.Peers.Find)
	if err != nil {
		r.refusePeer(c, m, id, err)
		return
	}
	if !a.bind(now, n, peer) {
		r.refuse(c, m, id, stun.CodeBadRequest)
		return
	}
	r.grant(c, m, id)
}

// peer finds out which of the peers an address is.
func (r *Relay) peer(a *allocation, at netip.AddrPort, find func(netip.AddrPort) (int, bool)) (int, error) {
	if at.Addr().Is6() != a.ipv6 {
		return 0, errFamily
	}
	i, ok := find(at)
	if !ok {
		return 0, errForbidden
	}
	return i, nil
}

func (r *Relay) refusePeer(c client, m *stun.Message, id identity, err error) {
	code := stun.CodeForbidden
	if errors.Is(err, errFamily) {
		code = stun.CodePeerAddrFamilyMismatch
	}
	r.refuse(c, m, id, code)
}

// sendIndication is RFC 8656 section 11.2. Nobody is told what becomes of it.
func (r *Relay) sendIndication(now time.Time, c client, m *stun.Message) {
	a := r.find(c.address())
	list, ok := addresses(m, stun.AttrXORPeerAddress)
	data, err := m.Get(stun.AttrData)
	if a == nil || !ok || len(list) != 1 || err != nil || unknownAttributes(m) != nil {
		r.stats.drop(dropMalformed)
		return
	}
	peer, err := r.peer(a, list[0], r.o.Peers.Find)
	if err != nil || !a.permitted(now, peer) {
		r.stats.drop(dropForbidden)
		return
	}
	a.toPeer(now, data, peer)
}

// channelData takes a ChannelData message of a client, whose allocation is a, if it has one.
func (r *Relay) channelData(a *allocation, b []byte) {
	n, data, ok := splitChannelData(b)
	if !ok {
		r.stats.drop(dropMalformed)
		return
	}
	if a == nil {
		r.stats.drop(dropForbidden)
		return
	}
	now := r.o.Clock()
	peer, ok := a.channelPeer(now, n)
	if !ok {
		r.stats.drop(dropForbidden)
		return
	}
	a.toPeer(now, data, peer)
}
