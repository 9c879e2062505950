package bench

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// framed is ICE over TCP (RFC 6544, RFC 4571) to whoever is written to first, as if it were a UDP socket:
// servers of one port have the same address for both.
type framed struct {
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	opened chan struct{} // closed when conn is there, or never will be
	ending context.Context
	end    context.CancelFunc
	begin  sync.Once

	mu   sync.Mutex // held while a frame is written
	conn net.Conn   // nil if it could not be opened; set before opened is closed
	to   net.Addr
}

func newFramed(cfg Config) *framed {
	f := &framed{dial: cfg.DialContext, opened: make(chan struct{})}
	if f.dial == nil {
		f.dial = new(net.Dialer).DialContext
	}
	f.ending, f.end = context.WithCancel(context.Background())
	return f
}

// connect opens the connection.
func (f *framed) connect(to net.Addr) {
	defer close(f.opened)
	ctx, cancel := context.WithTimeout(f.ending, relayTimeout)
	defer cancel()
	conn, err := f.dial(ctx, "tcp", to.String())
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conn, f.to = conn, to
	if f.ending.Err() != nil {
		_ = conn.Close()
	}
}

// WriteTo implements net.PacketConn.
func (f *framed) WriteTo(b []byte, to net.Addr) (int, error) {
	f.begin.Do(func() { f.connect(to) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return 0, net.ErrClosed
	}
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b)))
	if _, err := f.conn.Write(append(frame, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ReadFrom implements net.PacketConn: it has one reader at a time.
func (f *framed) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case <-f.opened:
	case <-f.ending.Done():
	}
	f.mu.Lock()
	conn, to := f.conn, f.to
	f.mu.Unlock()
	if conn == nil || f.ending.Err() != nil {
		return 0, nil, net.ErrClosed
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return 0, nil, net.ErrClosed
	}
	frame := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		return 0, nil, net.ErrClosed
	}
	return copy(b, frame), to, nil
}

// Close implements net.PacketConn.
func (f *framed) Close() error {
	f.end()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return nil
	}
	return f.conn.Close()
}

// LocalAddr implements net.PacketConn. Nobody is told it: the server learns it from the connection.
func (f *framed) LocalAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4zero} }

// SetDeadline implements net.PacketConn: there are none.
func (f *framed) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (f *framed) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn.
func (f *framed) SetWriteDeadline(time.Time) error { return nil }
