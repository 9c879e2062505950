package port

import (
	"container/list"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// sniffTimeout is how long a connection may take for each step before it is closed: its first
	// bytes, the TLS handshake, the first bytes inside. net/http, too, wants to see a whole header in
	// that time.
	sniffTimeout = 5 * time.Second
	// maxSilent bounds the connections that have not sent anything yet. When there are more, the
	// oldest is closed: whoever means to talk does so within a round trip, so the one that has been
	// silent for longest is the least likely to.
	maxSilent = 512
	// maxBegun bounds those that have begun and not come through a door yet: handshakes under way, half
	// a header. The oldest goes, as above. A handshake takes two round trips; whoever wants to crowd out
	// one of 200 ms must open 10,000 connections a second.
	maxBegun = 2048
	// retryAccept is the wait after a failed Accept: running out of file descriptors passes.
	retryAccept = 50 * time.Millisecond
)

// TCPOptions of a TCP.
type TCPOptions struct {
	TLS     *tls.Config           // of the server's certificate
	Metrics prometheus.Registerer // nil: none
}

// TCP shares one TCP port among those who serve what is spoken there:
//
//	                 ┌ ClientHello ─► TLS ─► method ─────► HTTP
//	accept ─► first ─┤                    └► STUN ───────► TURNS
//	          bytes  ├ method, from this machine ────────► HTTP (from elsewhere: told to use HTTPS)
//	                 ├ STUN ─────────────────────────────► TURN
//	                 └ STUN check in a frame ────────────► ICE
//
// Anything else is closed, and so is what nobody has asked a listener for.
type TCP struct {
	listener net.Listener
	tls      *tls.Config
	stats    tcpCounters
	doors    [doors]*door
	done     chan struct{} // closed by Close
	once     sync.Once
	err      error // of closing listener; written once, before done is closed
	wg       sync.WaitGroup

	mu     sync.Mutex
	silent stage
	begun  stage
}

// stage is the connections that are as far as each other, oldest first; guarded by TCP.mu.
type stage struct {
	arrivals list.List // of *arrival
	most     int
}

// arrival is a connection that has not been accepted yet.
type arrival struct {
	tcp    net.Conn
	speaks net.Conn // what Accept returns, once that is known
	stage  *stage   // nil once it has left; guarded by TCP.mu
	place  *list.Element
}

// ShareTCP shares the connections of a listener, which belongs to the TCP from then on, unless there is an
// error. None is accepted before Start.
func ShareTCP(listener net.Listener, o TCPOptions) (*TCP, error) {
	t := &TCP{listener: listener, tls: o.TLS, stats: newTCPCounters(), done: make(chan struct{})}
	t.silent.most, t.begun.most = maxSilent, maxBegun
	for i := range t.doors {
		t.doors[i] = &door{tcp: t, number: i, ready: make(chan *arrival), done: make(chan struct{})}
	}
	if err := t.stats.register(o.Metrics); err != nil {
		return nil, fmt.Errorf("port: metrics: %w", err)
	}
	return t, nil
}

// Start begins to accept: who serves what must have asked for their listeners. It is called once.
func (t *TCP) Start() { t.wg.Go(t.runAccept) }

// HTTP is where HTTP comes from. Connections that came over TLS have a ConnectionState method.
func (t *TCP) HTTP() net.Listener { return t.doors[doorHTTP].open() }

// TURN is where STUN requests over TCP come from, still to be read, and nothing else has been.
func (t *TCP) TURN() net.Listener { return t.doors[doorTURN].open() }

// TURNS is where the same comes from over TLS. The handshake is done.
func (t *TCP) TURNS() net.Listener { return t.doors[doorTURNS].open() }

// ICE is where connectivity checks in frames come from, still to be read. Nobody has verified them.
func (t *TCP) ICE() net.Listener { return t.doors[doorICE].open() }

// Close stops accepting and closes the connections that have not been accepted; those that have belong
// to whoever did. It returns when no goroutine is left.
func (t *TCP) Close() error {
	t.once.Do(func() {
		t.err = t.listener.Close()
		t.mu.Lock()
		close(t.done)
		t.silent.close()
		t.begun.close()
		t.mu.Unlock()
	})
	t.wg.Wait()
	return t.err
}

func (t *TCP) runAccept() {
	for {
		tcp, err := t.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-t.done:
				return
			case <-time.After(retryAccept):
			}
			continue
		}
		if a := t.arrive(tcp); a != nil {
			t.wg.Go(func() { t.runSniff(a) })
		}
	}
}

// arrive puts a new connection among the silent ones; it returns nil, and closes tcp, when the port is
// closed.
func (t *TCP) arrive(tcp net.Conn) *arrival {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.done:
		_ = tcp.Close()
		return nil
	default:
	}
	a := &arrival{tcp: tcp}
	t.enter(a, &t.silent)
	return a
}

// advance takes a connection from among the silent ones to those that have begun; it is false when it
// was closed for being the oldest.
func (t *TCP) advance(a *arrival) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !a.leave() {
		return false
	}
	t.enter(a, &t.begun)
	return true
}

// enter makes room in a stage at the cost of its oldest; t.mu is held.
func (t *TCP) enter(a *arrival, s *stage) {
	if s.arrivals.Len() >= s.most {
		oldest := s.arrivals.Front().Value.(*arrival)
		oldest.leave()
		_ = oldest.tcp.Close()
		t.stats.drop(tcpCrowded)
	}
	a.stage, a.place = s, s.arrivals.PushBack(a)
}

// forget takes a from among those that are being told apart; it is false when a was closed for being
// the oldest.
func (t *TCP) forget(a *arrival) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return a.leave()
}

// drop closes a connection that comes through no door. One that has been closed for being the oldest,
// or at the end, has been counted.
func (t *TCP) drop(a *arrival, why tcpDrop) {
	if t.forget(a) {
		t.stats.drop(why)
	}
	_ = a.tcp.Close()
}

// leave is false when a has left already; TCP.mu is held.
func (a *arrival) leave() bool {
	if a.stage == nil {
		return false
	}
	a.stage.arrivals.Remove(a.place)
	a.stage, a.place = nil, nil
	return true
}

func (s *stage) close() {
	for e := s.arrivals.Front(); e != nil; e = s.arrivals.Front() {
		a := e.Value.(*arrival)
		a.leave()
		_ = a.tcp.Close()
	}
}

// isLoopback is false for an address that it cannot read: then only TLS is spoken.
func isLoopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}
