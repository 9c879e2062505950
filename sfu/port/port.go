// Package port owns the server's UDP socket and is the only place that knows the kernel.
//
//	socket ─► runReader: classify (RFC 7983) ─► filter ─► endpoint of the 5-tuple ─► its Receiver, inline
//	Port.Write ─► outbox ─► at the end of the burst, or runSender: plan ─► socket
//	Path.Deliver ─► classify ─► filter ─► endpoint of the path ─► its Receiver, inline
//	Port.Write to a path's address ─► the path's send
//
// Both ways go in batches where the kernel has system calls for that: see link. There may be several
// sockets of one address, each with its reader; the kernel keeps what comes from one address at one of
// them.
//
// An address belongs to an endpoint from the moment a STUN check with the endpoint's ICE password
// came from it; nothing else, and no media, ever moves one.
package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// datagramBytes holds what an Ethernet carries; WebRTC sends at most 1,200 bytes of payload.
	// A longer datagram is cut by the kernel and then fails authentication.
	datagramBytes = 2048
	// endpointAddresses bounds how many addresses one participant may be reached at: interfaces
	// and NAT rebindings of one call, for each reader. Beyond it the one that was bound first is forgotten.
	endpointAddresses = 16
	// readRetry is the pause after a socket error that is not the socket's end. Errors such as
	// ENOBUFS or ECONNREFUSED concern one datagram; giving up would end every call on the port.
	readRetry = 5 * time.Millisecond
)

// SocketBuffer is asked for in either direction: some 80 ms of 200 Mbit/s, for when all cores are busy.
// The usual default of 208 kB is 8 ms. The kernel gives what net.core.rmem_max and wmem_max allow, unless
// the process may exceed them, and says nothing; bedside check does.
const SocketBuffer = 2 << 20

// maxReaders bounds how many sockets an address has: beyond it the work that they share out is too little
// to keep them apart.
const maxReaders = 8

// Readers returns how many sockets to open for a configured number, of which 0 means one for each
// processor that Go may use.
func Readers(configured int) int {
	if configured == 0 {
		configured = runtime.GOMAXPROCS(0)
	}
	return min(configured, maxReaders)
}

// Options of a Port. The zero value uses what the system has.
type Options struct {
	// NoGSO sends every datagram as one, though still many with one system call: for networks whose
	// drivers get segmentation wrong.
	NoGSO bool
	// NoGRO receives every datagram as one, and Portable uses one system call for each, as other
	// systems than Linux do: for comparison.
	NoGRO, Portable bool
	// More are further sockets of the same address (see Listen), each to be read beside the first.
	More    []net.PacketConn
	Metrics prometheus.Registerer // nil: none
}

// Port shares one UDP address among the participants' connections.
type Port struct {
	local   net.Addr
	stats   counters
	readers []reader
	done    chan struct{}
	wg      sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	endpoints map[string]*endpoint // by local ufrag

	paths paths
	relay atomic.Pointer[func([]byte, netip.AddrPort)] // of TURN; nil: there is none
}

// reader is one socket and who is heard there.
type reader struct {
	link  link
	demux demux
	stale atomic.Bool // gone is not empty
	gone  []*endpoint // forgotten since the reader has looked, of those with an address here; guarded by Port.mu
}

// endpoint is one ICE agent of ours: a ufrag, its password, and where its peer has been heard from.
type endpoint struct {
	ufrag     string
	password  string
	receiver  Receiver
	forgotten atomic.Bool
	touched   []bool             // of each reader, and its alone: media has come in its burst
	addresses [][]netip.AddrPort // of each reader: oldest first, <= endpointAddresses; guarded by Port.mu
	paths     []*Path            // oldest first, <= endpointAddresses; guarded by Port.mu
}

// New starts reading conn, which belongs to the Port from then on, as does Options.More.
func New(conn net.PacketConn, o Options) (*Port, error) {
	return open(conn.LocalAddr(), o.Metrics, func(stats *counters) ([]link, error) {
		return newLinks(append([]net.PacketConn{conn}, o.More...), stats, o)
	})
}

func open(local net.Addr, metrics prometheus.Registerer, newLinks func(*counters) ([]link, error)) (*Port, error) {
	p := &Port{local: local, stats: newCounters(), done: make(chan struct{}), endpoints: map[string]*endpoint{}}
	p.paths.at = map[netip.AddrPort]*Path{}
	links, err := newLinks(&p.stats)
	if err != nil {
		return nil, fmt.Errorf("port: %w", err)
	}
	p.readers = make([]reader, len(links))
	for i, l := range links {
		r := &p.readers[i]
		r.link, r.demux = l, newDemux(p, i)
	}
	if err := p.stats.register(metrics); err != nil {
		_ = p.closeLinks()
		return nil, fmt.Errorf("port: metrics: %w", err)
	}
	for i := range p.readers {
		p.wg.Go(func() { p.runReader(&p.readers[i]) })
	}
	return p, nil
}

// newLinks takes the best way that there is.
func newLinks(conns []net.PacketConn, stats *counters, o Options) ([]link, error) {
	if !o.Portable {
		if links, err := newBatches(conns, stats, o); links != nil || err != nil {
			return links, err
		}
	}
	links := make([]link, len(conns))
	for i, c := range conns {
		links[i] = newPlain(c, stats)
	}
	return links, nil
}

// Close sends what waits, closes the sockets, and waits for the goroutines.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	close(p.done)
	for _, e := range p.endpoints {
		e.forgotten.Store(true)
	}
	clear(p.endpoints)
	p.mu.Unlock()
	err := p.closeLinks()
	p.wg.Wait()
	return err
}

func (p *Port) closeLinks() error {
	var err error
	for i := range p.readers {
		err = errors.Join(err, p.readers[i].link.close())
	}
	return err
}

// LocalAddr is the socket's address.
func (p *Port) LocalAddr() net.Addr { return p.local }

// endpoint returns the one with this ufrag; nil if there is none.
func (p *Port) endpoint(ufrag string) *endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endpoints[ufrag]
}

// takeGone returns the endpoints that have been forgotten since the last call.
func (p *Port) takeGone(r *reader) []*endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := r.gone
	r.gone = nil
	return list
}

// runReader is the one goroutine that reads a socket.
func (p *Port) runReader(r *reader) {
	take, end := r.demux.route, r.demux.flush
	for {
		err := r.link.receive(take, end)
		if err == nil {
			if r.stale.Load() && r.stale.Swap(false) {
				r.demux.purge(p.takeGone(r))
			}
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		p.stats.readErrors.Add(1)
		select {
		case <-p.done:
			return
		case <-time.After(readRetry):
		}
	}
}
