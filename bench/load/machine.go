package load

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench/linkem"
	"github.com/bedside-video/bedside/bench/linkem/link"
)

// burialTime is how long the connection of a machine that was killed stays open without a word. By then
// a server has noticed.
const burialTime = time.Minute

// machine is what one person sits at: a Guest, and the network between it and the server. A person
// whose machine was killed comes back with another one.
type machine struct {
	guest   Guest
	network Network
	seed    uint64

	mu       sync.Mutex
	impaired bool // puts sockets behind links
	up, down link.Shape
	socket   net.PacketConn // the last one opened
	silent   []*silentConn  // the last connections opened
}

// listen opens the socket of a media connection.
func (m *machine) listen() (net.PacketConn, error) {
	socket, err := m.network.Listen()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.socket = socket
	if m.impaired {
		conn, err := linkem.NewConn(socket, m.up, m.down, m.seed)
		if err != nil {
			return nil, errors.Join(err, socket.Close())
		}
		m.socket = conn
	}
	return m.socket, nil
}

// dial opens a connection that can be silenced.
func (m *machine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := m.network.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s := &silentConn{Conn: c}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = append(m.silent[max(0, len(m.silent)-1):], s) // the one before is closed
	return s, nil
}

// set changes the links; nil leaves a direction alone.
func (m *machine) set(up, down *link.Shape) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if up != nil {
		m.up = *up
	}
	if down != nil {
		m.down = *down
	}
	if c, ok := m.socket.(*linkem.Conn); ok {
		return c.Set(m.up, m.down)
	}
	return nil
}

// kill takes the machine away: nothing more is sent, not even a goodbye. The WebSocket's connection
// stays open, silent, until the server gives it up or ctx ends; wg waits for that. The UDP port is
// closed, which the server cannot see.
func (m *machine) kill(ctx context.Context, wg *sync.WaitGroup) {
	m.mu.Lock()
	socket, silent := m.socket, m.silent
	m.socket, m.silent = nil, nil
	m.mu.Unlock()
	for _, s := range silent {
		s.silence()
	}
	if socket != nil {
		_ = socket.Close()
	}
	m.guest.Close() // and nobody reads any more
	for _, s := range silent {
		wg.Go(func() { s.runBurial(ctx) })
	}
}

// silentConn is a connection whose owner may fall silent.
type silentConn struct {
	net.Conn
	mu     sync.Mutex
	silent bool
}

func (s *silentConn) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

func (s *silentConn) isSilent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silent
}

// Write implements net.Conn: into the void, once silent.
func (s *silentConn) Write(b []byte) (int, error) {
	if s.isSilent() {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

// Close implements net.Conn. Who is silent does not say that they go: runBurial closes the connection.
func (s *silentConn) Close() error {
	if s.isSilent() {
		return s.SetReadDeadline(time.Unix(1, 0)) // wakes who reads
	}
	return s.Conn.Close()
}

// runBurial closes the connection when the server has given it up, burialTime has passed or ctx ends.
func (s *silentConn) runBurial(ctx context.Context) {
	_ = s.SetReadDeadline(time.Now().Add(burialTime))
	stop := context.AfterFunc(ctx, func() { _ = s.Conn.Close() })
	defer stop()
	// Not more than a server writes in a minute to somebody who does not answer.
	_, _ = io.Copy(io.Discard, s.Conn)
	_ = s.Conn.Close()
}
