package port

import (
	"net"
	"sync"
	"sync/atomic"
)

// The doors of a TCP.
const (
	doorHTTP = iota
	doorTURN
	doorTURNS
	doorICE
	doors
)

// doorName is the door's name in the metrics.
func doorName(i int) string { return [...]string{"http", "turn", "turns", "ice"}[i] }

// door is the net.Listener of those who serve one of the things that are spoken.
type door struct {
	tcp    *TCP
	number int
	opened atomic.Bool
	ready  chan *arrival // unbuffered: a connection waits in its own goroutine, which maxBegun bounds
	done   chan struct{} // closed by Close
	once   sync.Once
}

func (d *door) open() net.Listener {
	d.opened.Store(true)
	return d
}

// hand waits until somebody accepts a connection.
func (d *door) hand(a *arrival) {
	if !d.opened.Load() {
		d.tcp.drop(a, tcpNotServed)
		return
	}
	select {
	case d.ready <- a:
	case <-d.done:
		d.tcp.drop(a, tcpNotServed)
	case <-d.tcp.done:
		d.tcp.drop(a, tcpNotServed)
	}
}

// Accept returns the next connection that speaks what is served here. Its error is net.ErrClosed.
func (d *door) Accept() (net.Conn, error) {
	for {
		select {
		case <-d.done:
			return nil, net.ErrClosed
		case <-d.tcp.done:
			return nil, net.ErrClosed
		case a := <-d.ready:
			if d.tcp.forget(a) {
				d.tcp.stats.served[d.number].Add(1)
				return a.speaks, nil
			}
		}
	}
}

// Close closes this door and the connections before it; the others stay open.
func (d *door) Close() error {
	d.once.Do(func() { close(d.done) })
	return nil
}

// Addr is the address of the shared port.
func (d *door) Addr() net.Addr { return d.tcp.listener.Addr() }
