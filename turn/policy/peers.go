package policy

import (
	"errors"
	"net/netip"
	"slices"
)

// MaxPeers bounds the addresses that a relay reaches: those of one media server.
const MaxPeers = 16

// ErrPeers tells that there are no peers, too many, or that one is nobody's address.
var ErrPeers = errors.New("policy: a relay needs 1 to 16 addresses of a media server")

// Peers are the only addresses that a relay reaches. It is a list of what is allowed: lists of what is
// forbidden have always lacked something (CVE-2020-26262: 0.0.0.0 and ::).
type Peers struct{ at []netip.AddrPort }

// NewPeers takes the media addresses of the server.
func NewPeers(at []netip.AddrPort) (Peers, error) {
	if len(at) == 0 || len(at) > MaxPeers {
		return Peers{}, ErrPeers
	}
	for _, a := range at {
		if !a.IsValid() || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast() || a.Addr().Is4In6() || a.Addr().Zone() != "" {
			return Peers{}, ErrPeers
		}
	}
	return Peers{at: slices.Clone(at)}, nil
}

// Find returns which peer an address is. The address has to be the very same: one of IPv4 written in
// IPv6 is another.
func (p Peers) Find(at netip.AddrPort) (int, bool) {
	for i, a := range p.at {
		if a == at {
			return i, true
		}
	}
	return 0, false
}

// FindHost is Find for a permission, which is for all ports of an address (RFC 8656 section 9), and so
// may leave the port out; a port that is another is refused nevertheless.
func (p Peers) FindHost(at netip.AddrPort) (int, bool) {
	if at.Port() != 0 {
		return p.Find(at)
	}
	for i, a := range p.at {
		if a.Addr() == at.Addr() {
			return i, true
		}
	}
	return 0, false
}

// All returns the peers; what Find returns is an index of it.
func (p Peers) All() []netip.AddrPort { return slices.Clone(p.at) }

// At returns the i-th peer.
func (p Peers) At(i int) netip.AddrPort { return p.at[i] }

// Reaches tells whether there is a peer of that family.
func (p Peers) Reaches(ipv6 bool) bool {
	return slices.ContainsFunc(p.at, func(a netip.AddrPort) bool { return a.Addr().Is6() == ipv6 })
}
