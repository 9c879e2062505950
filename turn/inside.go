package turn

import (
	"errors"
	"io"
	"math/big"
	"net/netip"
	"strconv"

	"crypto/rand"

	"github.com/bedside-video/bedside/sfu/port"
	"github.com/bedside-video/bedside/turn/policy"
)

const (
	// Relayed addresses have ports of the dynamic range (RFC 8656 section 7.2), though nobody listens
	// there: the port is a number that tells allocations apart. All are even, as EVEN-PORT asks for.
	firstPort = 49152
	ports     = 1<<16 - firstPort
	// portTries is how often a number is drawn that may be taken; with 2,000 allocations one in four is.
	portTries = 32
)

// errNoPort tells that no number was free.
var errNoPort = errors.New("turn: no relayed address is free")

// Paths is the port of the media server, as far as allocations are paths of it.
type Paths interface {
	Attach(at netip.AddrPort, send func(b []byte) bool) (*port.Path, error)
}

// Inside is a Host in the process of the media server: an allocation is a path of its port for each
// peer, that is, for each address that the media server has.
type Inside struct {
	paths Paths
	peers policy.Peers
	rand  io.Reader
}

// NewInside returns a Host whose peers are the port itself, at its addresses.
func NewInside(p Paths, peers policy.Peers, random io.Reader) *Inside {
	return &Inside{paths: p, peers: peers, rand: random}
}

// Open implements Host. The relayed address has the IP address of a peer: that is where the client sees
// what is relayed come from.
func (h *Inside) Open(ipv6 bool, receive func([]byte, int) bool) (Line, error) {
	for range portTries {
		n, err := rand.Int(h.rand, big.NewInt(ports/2))
		if err != nil {
			return nil, err
		}
		l, err := h.openAt(ipv6, firstPort+2*uint16(n.Int64()), receive)
		if errors.Is(err, port.ErrTaken) {
			continue
		}
		return l, err
	}
	return nil, errNoPort
}

func (h *Inside) openAt(ipv6 bool, number uint16, receive func([]byte, int) bool) (Line, error) {
	l := &insideLine{}
	for i, peer := range h.peers.All() {
		if peer.Addr().Is6() != ipv6 {
			continue
		}
		if !l.at.IsValid() {
			l.at = netip.AddrPortFrom(peer.Addr(), number)
		}
		// One path a peer, so that what the server sends comes from the address that was written to.
		zone := port.ZoneRelay + strconv.Itoa(i)
		p, err := h.paths.Attach(port.Virtual(l.at, zone), func(b []byte) bool { return receive(b, i) })
		if err != nil {
			l.Close()
			return nil, err
		}
		l.paths[i] = p
	}
	return l, nil
}

// insideLine is one relayed address.
type insideLine struct {
	at    netip.AddrPort
	paths [policy.MaxPeers]*port.Path
}

func (l *insideLine) Address() netip.AddrPort { return l.at }

func (l *insideLine) Send(b []byte, peer int) { l.paths[peer].Deliver(b) }

func (l *insideLine) Close() {
	for _, p := range l.paths {
		if p != nil {
			p.Close()
		}
	}
}
