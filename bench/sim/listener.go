package sim

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Listener is TCP in memory: each Dial makes a net.Pipe and hands the other end to Accept.
type Listener struct {
	addr   net.Addr
	accept chan net.Conn
	done   chan struct{}
	once   sync.Once
	drains sync.WaitGroup
}

// NewListener returns a Listener that claims to be at addr.
func NewListener(addr net.Addr) *Listener {
	return &Listener{addr: addr, accept: make(chan net.Conn), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It does not close accepted connections.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Wait waits for the connections that were severed to be closed by the server.
func (l *Listener) Wait() { l.drains.Wait() }

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.addr }

// Dial connects from the address from.
func (l *Listener) Dial(ctx context.Context, from net.Addr) (*Conn, error) {
	near, far := net.Pipe()
	select {
	case l.accept <- &Conn{Conn: far, local: l.addr, remote: from}:
		return &Conn{Conn: near, local: from, remote: l.addr, listener: l, closed: make(chan struct{})}, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Conn is one end of a connection.
type Conn struct {
	net.Conn
	local, remote net.Addr
	listener      *Listener
	severed       atomic.Bool
	stalled       atomic.Bool
	closing       sync.Once
	closed        chan struct{} // of the dialling end

	mu   sync.Mutex
	hold chan struct{} // closed when what is held goes on; nil when nothing is held
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Sever is called on the dialling end: the machine is gone without a word. The other end goes on
// writing into the void, and hears nothing, until it closes.
func (c *Conn) Sever() {
	if c.severed.Swap(true) {
		return
	}
	_ = c.Conn.SetDeadline(time.Unix(1, 0)) // whoever reads or writes now, stops
	c.listener.drains.Go(c.runDrain)
}

// Stall is called on the dialling end: it reads no more, so that the other end's writes block.
func (c *Conn) Stall() { c.stalled.Store(true) }

// Hold is called on the dialling end: while on, nothing arrives at either end, and everything does
// afterwards, as TCP gets through a gap that is shorter than its patience. What TCP's own pauses would
// add to the gap is left out.
func (c *Conn) Hold(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case on && c.hold == nil:
		c.hold = make(chan struct{})
	case !on && c.hold != nil:
		close(c.hold)
		c.hold = nil
	}
}

// awaitHold waits while the connection is held.
func (c *Conn) awaitHold() {
	c.mu.Lock()
	hold := c.hold
	c.mu.Unlock()
	if hold == nil {
		return
	}
	select {
	case <-hold:
	case <-c.closed:
	}
}

func (c *Conn) runDrain() {
	_ = c.Conn.SetDeadline(time.Time{})
	_, _ = io.Copy(io.Discard, c.Conn)
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if c.stalled.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(b)
	c.awaitHold()
	if c.severed.Load() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	c.awaitHold()
	if c.severed.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// Close implements net.Conn; a severed connection stays.
func (c *Conn) Close() error {
	if c.closed != nil {
		c.closing.Do(func() { close(c.closed) })
	}
	if c.severed.Load() {
		return nil
	}
	return c.Conn.Close()
}
