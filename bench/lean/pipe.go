package lean

import (
	"net"
	"time"

	"github.com/pion/transport/v4/packetio"
)

// pipeLimit bounds what waits for DTLS to be read, in bytes; more is dropped, as on a line.
const pipeLimit = 64 << 10

// pipe is the net.PacketConn on which DTLS runs, between the reader of the socket and its writers.
type pipe struct {
	in   *packetio.Buffer
	send func(b []byte) error
}

func newPipe() *pipe {
	p := &pipe{in: packetio.NewBuffer()}
	p.in.SetLimitSize(pipeLimit)
	return p
}

// push hands over a datagram that was received. When DTLS does not read, or no longer, it is dropped.
func (p *pipe) push(b []byte) { _, _ = p.in.Write(b) }

func (p *pipe) close() { _ = p.in.Close() }

// peer is who is at the other end, whatever its address.
type peer struct{}

func (peer) Network() string { return "dtls" }
func (peer) String() string  { return "peer" }

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.in.Read(b)
	return n, peer{}, err
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	if err := p.send(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close does nothing: the socket is the connection's.
func (p *pipe) Close() error { return nil }

func (p *pipe) LocalAddr() net.Addr { return peer{} }

func (p *pipe) SetDeadline(t time.Time) error { return p.in.SetReadDeadline(t) }

func (p *pipe) SetReadDeadline(t time.Time) error { return p.in.SetReadDeadline(t) }

// SetWriteDeadline does nothing: a datagram is sent at once or dropped.
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
