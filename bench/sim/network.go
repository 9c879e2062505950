package sim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/vnet"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

const (
	firstPort     = 40000
	queueLimit    = 4096 // datagrams of one socket; more are dropped, as a kernel does
	streamsLimit  = 1 << 17
	splitmixGamma = 0x9e3779b97f4a7c15
	headerBytes   = 28 // of IPv4 and UDP, which take their time on a bottleneck, too
	// skewStep is by how much more each host is away than the one before: what arrives at one instant, at a
	// tick of the server or from several hosts, has no order, and a run would not be repeated.
	skewStep = 1013 * time.Nanosecond
)

// Network is UDP in virtual time: hosts, each behind a link of its own with constant delay and seeded
// loss. It does without goroutines: a datagram lies in its receiver's queue until it is due, and who
// reads first waits for it. So what is delivered when does not depend on how goroutines are
// scheduled, as it would with a router that draws delay and loss in the order of arrival.
type Network struct {
	seed uint64

	mu      sync.Mutex
	hosts   map[netip.Addr]*Host
	sockets map[netip.AddrPort]*Socket
	ordinal uint64 // of the last datagram, to keep the order of those due at one time
}

// NewNetwork returns a network without hosts. It must be made inside the bubble that uses it.
func NewNetwork(seed uint64) *Network {
	return &Network{seed: seed, hosts: make(map[netip.Addr]*Host), sockets: make(map[netip.AddrPort]*Socket)}
}

// Path is one direction of a link.
type Path struct {
	Delay time.Duration // constant, so that datagrams of one path keep their order
	Loss  float64       // of RTP packets, 0 to 1; STUN, DTLS and RTCP always get through
	// Burst is how many packets of a stream are lost in a row on average (as link.Shape's); 0 and 1 lose
	// each independently.
	Burst float64
	// Rate is that of a bottleneck, before the delay, and Queue how much waits before it (0: as of
	// link.DefaultQueue) until it drops: RTP or not. It begins when the host is added, or the path set.
	Rate  link.Trace
	Queue time.Duration
}

// Host is one machine. It implements transport.Net for pion, with UDP over IPv4 only.
type Host struct {
	transport.Net // refuses everything else
	network       *Network
	addr          netip.Addr

	// Guarded by network.mu.
	up, down *direction
	cut      bool
	ports    uint16
}

// AddHost adds a machine behind a link: up is towards the network, down from it.
func (n *Network) AddHost(addr string, up, down Path) (*Host, error) {
	refuse, err := vnet.NewNet(&vnet.NetConfig{})
	if err != nil {
		return nil, fmt.Errorf("sim: network: %w", err)
	}
	h := &Host{Net: refuse, network: n, addr: netip.MustParseAddr(addr)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[h.addr] != nil {
		return nil, fmt.Errorf("sim: network: %s is taken", addr)
	}
	salt, skew := n.seed*splitmixGamma+uint64(len(n.hosts))<<32, time.Duration(len(n.hosts))*skewStep
	h.up, h.down = newDirection(up, salt+1, skew), newDirection(down, salt+2, 3*skew)
	n.hosts[h.addr] = h
	return h, nil
}

// Skew is how much longer than its paths say the ways from and to the host take: see skewStep.
func (h *Host) Skew() (up, down time.Duration) { return h.up.skew, h.down.skew }

// Addr is the host's address.
func (h *Host) Addr() netip.Addr { return h.addr }

// Cut drops every datagram from and to the host from now on, as when a cable is pulled.
func (h *Host) Cut(cut bool) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	h.cut = cut
}

// Set replaces the host's link.
func (h *Host) Set(up, down Path) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	h.up.set(up)
	h.down.set(down)
	h.up.changed, h.down.changed = true, true
}

// Paths are both directions of a link.
type Paths struct{ Up, Down Path }

// Paths returns the host's link.
func (h *Host) Paths() Paths {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	return Paths{Up: h.up.path, Down: h.down.path}
}

// Full returns how many datagrams the queues of the host's link have dropped.
func (h *Host) Full() (up, down uint64) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	return h.up.full, h.down.full
}

// Interfaces implements transport.Net.
func (h *Host) Interfaces() ([]*transport.Interface, error) {
	ifc := transport.NewInterface(net.Interface{Index: 1, MTU: 1500, Name: "eth0", Flags: net.FlagUp})
	ifc.AddAddress(&net.IPNet{IP: h.addr.AsSlice(), Mask: net.CIDRMask(16, 32)})
	return []*transport.Interface{ifc}, nil
}

// ListenUDP implements transport.Net.
func (h *Host) ListenUDP(_ string, at *net.UDPAddr) (transport.UDPConn, error) {
	var port uint16
	if at != nil {
		port = uint16(at.Port)
	}
	return h.Listen(port)
}

// ListenPacket implements transport.Net.
func (h *Host) ListenPacket(_, address string) (net.PacketConn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("sim: network: listen: %w", err)
	}
	return h.Listen(at.Port())
}

// Listen opens a socket; port 0 is the next free one.
func (h *Host) Listen(port uint16) (*Socket, error) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == 0 {
		port = firstPort + h.ports
		h.ports++
	}
	at := netip.AddrPortFrom(h.addr, port)
	if n.sockets[at] != nil {
		return nil, fmt.Errorf("sim: network: port %d is taken", port)
	}
	s := &Socket{host: h, addr: at, wake: make(chan struct{}, 1), done: make(chan struct{})}
	n.sockets[at] = s
	return s, nil
}

// Sockets returns the addresses of the host's open sockets.
func (h *Host) Sockets() []netip.AddrPort {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	var out []netip.AddrPort
	for at, s := range h.network.sockets {
		if s.host == h {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return out
}

// Inject puts a datagram on the way as if from had sent it; the address need not be the sender's.
func (n *Network) Inject(from, to netip.AddrPort, b []byte) { n.send(from, to, b) }

// send queues a datagram with its receiver, unless it is lost.
func (n *Network) send(from, to netip.AddrPort, b []byte) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	src, dst, s := n.hosts[from.Addr()], n.hosts[to.Addr()], n.sockets[to]
	if src == nil || dst == nil || s == nil || src.cut || dst.cut {
		return
	}
	if src.up.loses(b) || dst.down.loses(b) {
		return
	}
	// A packet enters the second bottleneck when it has left the first, in the order of sending: a server
	// that everybody talks to has none of its own.
	due, ok := src.up.pass(now, len(b))
	if ok {
		due, ok = dst.down.pass(due, len(b))
	}
	if !ok {
		return
	}
	n.ordinal++
	s.push(datagram{data: slices.Clone(b), from: from, ordinal: n.ordinal, due: due})
}

// Stream counts the RTP packets of one SSRC on one direction of a link.
type Stream struct {
	Sent, Dropped uint64
}

// Up and Down return what went over the host's link so far, by SSRC.
func (h *Host) Up() map[uint32]Stream { return h.streams(func() *direction { return h.up }) }

// Down is Up for the other direction.
func (h *Host) Down() map[uint32]Stream { return h.streams(func() *direction { return h.down }) }

func (h *Host) streams(of func() *direction) map[uint32]Stream {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	out := make(map[uint32]Stream)
	for ssrc, s := range of().streams {
		out[ssrc] = s.count
	}
	return out
}

// direction is one direction of one link, with its memory.
type direction struct {
	path    Path
	began   time.Time // of the path's rate
	neck    link.Bottleneck
	changed bool      // then a shorter delay must not let datagrams overtake
	last    time.Time // when the last datagram arrives
	full    uint64    // datagrams dropped by the queue
	salt    uint64
	skew    time.Duration
	streams map[uint32]*stream
}

type stream struct {
	index  uint64 // in the order of first packets
	count  Stream
	losing bool // the last one was lost
}

func newDirection(p Path, salt uint64, skew time.Duration) *direction {
	d := &direction{salt: salt, skew: skew, streams: make(map[uint32]*stream)}
	d.set(p)
	return d
}

// set replaces the path; what waits or travels arrives as it would have.
func (d *direction) set(p Path) {
	d.path, d.began, d.neck = p, time.Now(), link.Bottleneck{Rate: p.Rate, Queue: p.Queue}
}

// pass takes a datagram at a time that does not go back, and returns when it arrives; false means that
// there was no room.
func (d *direction) pass(at time.Time, size int) (time.Time, bool) {
	leaves, ok := d.neck.Pass(at.Sub(d.began), size+headerBytes)
	if !ok {
		d.full++
		return at, false
	}
	due := d.began.Add(leaves + d.path.Delay + d.skew)
	if d.changed && due.Before(d.last) {
		due = d.last
	}
	d.last = due
	return due, true
}

// loses decides the fate of a datagram and counts it. Loss is a function of the seed, the link and
// the packet's ordinal in its stream, so that it is the same on every run.
func (d *direction) loses(b []byte) bool {
	if !isRTP(b) {
		return false
	}
	ssrc := uint32(b[8])<<24 | uint32(b[9])<<16 | uint32(b[10])<<8 | uint32(b[11])
	s := d.streams[ssrc]
	if s == nil {
		if len(d.streams) == streamsLimit {
			return false
		}
		s = &stream{index: uint64(len(d.streams))}
		d.streams[ssrc] = s
	}
	s.count.Sent++
	draw := float64(mix(d.salt+s.index<<40+s.count.Sent)>>11) / (1 << 53)
	s.losing = draw < d.path.chance(s.losing)
	if s.losing {
		s.count.Dropped++
	}
	return s.losing
}

// chance of a packet to be lost, after one that was lost or was not: the simple Gilbert model, so that
// Loss is the mean.
func (p Path) chance(losing bool) float64 {
	switch {
	case p.Burst <= 1:
		return p.Loss
	case losing:
		return 1 - 1/p.Burst
	}
	return p.Loss / p.Burst / (1 - p.Loss)
}

// isRTP tells RTP from RTCP, DTLS and STUN (RFC 7983, RFC 5761 section 4).
func isRTP(b []byte) bool {
	return len(b) >= 12 && b[0]>>6 == 2 && (b[1]&0x7f < 64 || b[1]&0x7f > 95)
}

// mix is splitmix64's finalizer.
func mix(x uint64) uint64 {
	x += splitmixGamma
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

var errNotConnected = errors.New("sim: network: not a connected socket")
