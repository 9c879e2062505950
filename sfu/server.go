package sfu

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/transport"
)

// Deps are what a Server needs of the world.
type Deps struct {
	Port      transport.Port
	Advertise []netip.AddrPort // where clients reach the port, best first
	// AdvertiseTCP is where they reach it by TCP; none: they cannot.
	AdvertiseTCP []netip.AddrPort
	Clock        func() time.Time
	Rand         io.Reader // cryptographic
	Log          *slog.Logger
	Metrics      prometheus.Registerer
	// FirstEstimate is what a path is taken to carry before anything is known of it, in bit/s; 0 is the
	// default. It is for tests.
	FirstEstimate int
}

// Server is the media plane: it makes rooms.
type Server struct {
	log     *slog.Logger
	clock   func() time.Time
	rand    io.Reader
	metrics *metrics
	first   int // Deps.FirstEstimate
	vp8     *transport.Engine
	h264    *transport.Engine
	streams atomic.Uint64 // the last forward.Stream given out

	checks checks

	mu     sync.Mutex
	closed bool
	rooms  map[string]*Room
}

// New returns a Server without rooms. The port stays the caller's, to be closed after the Server.
func New(cfg config.SFU, d Deps) (*Server, error) {
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("sfu: metrics: %w", err)
	}
	s := &Server{log: d.Log, clock: d.Clock, rand: d.Rand, metrics: m, first: d.FirstEstimate, rooms: map[string]*Room{}, checks: checks{closing: make(chan struct{})}}
	o := transport.Options{
		Port: d.Port, Advertise: d.Advertise, AdvertiseTCP: d.AdvertiseTCP, SSRCLimit: cfg.SSRCLimit, Clock: d.Clock, Rand: d.Rand,
	}
	if s.vp8, err = transport.NewEngine(o); err != nil {
		return nil, fmt.Errorf("sfu: %w", err)
	}
	o.H264 = true
	if s.h264, err = transport.NewEngine(o); err != nil {
		return nil, fmt.Errorf("sfu: %w", err)
	}
	return s, nil
}

// OpenRoom makes a room; id is used in logs alone.
func (s *Server) OpenRoom(id string, o RoomOptions) (*Room, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.rooms[id] != nil {
		return nil, fmt.Errorf("sfu: room %s is open already", id)
	}
	r := newRoom(s, id, o)
	s.rooms[id] = r
	s.metrics.rooms.Inc()
	return r, nil
}

// Close closes every room, ends every check and waits for their goroutines.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		close(s.checks.closing)
	}
	s.closed = true
	rooms := make([]*Room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	for _, r := range rooms {
		_ = r.Close()
	}
	s.checks.running.Wait()
	return nil
}

func (s *Server) forget(r *Room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[r.id] == r {
		delete(s.rooms, r.id)
		s.metrics.rooms.Dec()
	}
}

func (s *Server) engine(o RoomOptions) *transport.Engine {
	if o.H264 {
		return s.h264
	}
	return s.vp8
}

func (s *Server) newStream() forward.Stream { return forward.Stream(s.streams.Add(1)) }

// newRewriter starts the numbers of one slot where nobody can guess them (RFC 3550 section 5.1).
func (s *Server) newRewriter(clockRate uint32) (forward.Rewriter, error) {
	var b [9]byte
	if _, err := io.ReadFull(s.rand, b[:]); err != nil {
		return forward.Rewriter{}, fmt.Errorf("sfu: random numbers: %w", err)
	}
	return forward.NewRewriter(clockRate, binary.BigEndian.Uint16(b[0:]), binary.BigEndian.Uint32(b[2:]),
		binary.BigEndian.Uint16(b[6:])&0x7fff, b[8]), nil
}
