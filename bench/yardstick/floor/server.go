// Package floor is the least that a forwarding server in Go can do: it opens each packet (RFC 7714,
// AEAD_AES_128_GCM), and for each watcher writes its SSRC and payload type into the header, seals it
// and sends what one burst of reading brought, grouped by destination, with UDP_SEGMENT. One goroutine
// does it all, between recvmmsg and sendmsg. Connections are set up as by anybody else: WHIP and WHEP,
// ICE-lite, DTLS. There is no retransmission, no report, no bandwidth estimation; requests for key
// frames are relayed, so that there is a picture. It is not a server to use: it is what is left of the
// cost when nothing is left to save.
//
//	recvmmsg ─► ICE check: answer │ DTLS: handshake's pipe │ RTP: open ─► each seat: header, seal ─► outbox
//	end of the burst ─► sendmsg with UDP_SEGMENT, one for each outbox
package floor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/transport/v4/packetio"
	"golang.org/x/net/ipv4"

	"github.com/bedside-video/bedside/bench/yardstick"
)

const (
	burst       = 64 // datagrams of one recvmmsg
	receiveMTU  = 2048
	keyInterval = 500 * time.Millisecond // between two requests for a key frame of one track
)

// Config is what a Server is made of.
type Config struct {
	Socket *net.UDPConn // IPv4, on a specific address; the Server closes it
	Now    func() time.Time
	Rand   io.Reader
}

// Server forwards. It implements yardstick.Server.
type Server struct {
	socket      *net.UDPConn
	batch       *ipv4.PacketConn
	address     netip.AddrPort
	now         func() time.Time
	rand        io.Reader
	certificate tls.Certificate
	rooms       yardstick.Rooms[*feed]
	sender      sender
	wg          sync.WaitGroup

	mu      sync.Mutex // held by the loop for one burst at a time
	byUfrag map[string]*link
	byAddr  map[netip.AddrPort]*link
	ssrcs   uint32 // the last one given away
	dirty   []*link
	plain   []byte
}

// New starts a Server.
func New(cfg Config) (*Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cfg.Rand)
	if err != nil {
		return nil, fmt.Errorf("floor: certificate key: %w", err)
	}
	certificate, err := selfsign.SelfSign(key)
	if err != nil {
		return nil, fmt.Errorf("floor: certificate: %w", err)
	}
	at, ok := cfg.Socket.LocalAddr().(*net.UDPAddr)
	if !ok || at.IP.IsUnspecified() {
		return nil, fmt.Errorf("floor: socket on %v: it must be on one address", cfg.Socket.LocalAddr())
	}
	s := &Server{
		socket: cfg.Socket, batch: ipv4.NewPacketConn(cfg.Socket), now: cfg.Now, rand: cfg.Rand, certificate: certificate,
		address: netip.AddrPortFrom(at.AddrPort().Addr().Unmap(), uint16(at.Port)),
		sender:  newSender(cfg.Socket), byUfrag: make(map[string]*link), byAddr: make(map[netip.AddrPort]*link),
		ssrcs: 1000, plain: make([]byte, 0, receiveMTU),
	}
	s.wg.Go(s.runLoop)
	return s, nil
}

// Close ends the Server. Its sessions must have been closed before.
func (s *Server) Close() error {
	err := s.socket.Close()
	s.wg.Wait()
	if err != nil {
		return fmt.Errorf("floor: close: %w", err)
	}
	return nil
}

// Publish implements yardstick.Server.
func (s *Server) Publish(_ context.Context, room, _, text string) (string, io.Closer, error) {
	o, l, err := s.link(text)
	if err != nil {
		return "", nil, err
	}
	l.feeds = make(map[uint8]*feed)
	for _, m := range o.media {
		if !m.usable || m.stream == "" || l.feeds[m.payload] != nil {
			continue
		}
		l.feeds[m.payload] = &feed{owner: l, room: room, kind: m.kind, stream: m.stream, track: m.track}
	}
	s.begin(l)
	for _, f := range l.feeds {
		if err := s.rooms.Add(room, f.stream, f); err != nil {
			return "", nil, errors.Join(err, l.Close())
		}
	}
	return s.answerer(l).write(o, nil, true), l, nil
}

// Watch implements yardstick.Server.
func (s *Server) Watch(ctx context.Context, room, id, text string, tracks int) (string, io.Closer, error) {
	o, l, err := s.link(text)
	if err != nil {
		return "", nil, err
	}
	others := s.rooms.Others(ctx, room, id, tracks)
	onLine := make([]*seat, len(o.media))
	s.mu.Lock()
	for i, m := range o.media {
		at := slices.IndexFunc(others, func(f *feed) bool { return f.kind == m.kind })
		if !m.usable || at < 0 {
			continue
		}
		s.ssrcs++
		onLine[i] = &seat{feed: others[at], to: l, ssrc: s.ssrcs, payload: m.payload}
		l.seats = append(l.seats, onLine[i])
		others[at].seats = append(others[at].seats, onLine[i])
		others = slices.Delete(others, at, at+1)
	}
	s.mu.Unlock()
	s.begin(l)
	return s.answerer(l).write(o, onLine, false), l, nil
}

// link makes the link of an offer.
func (s *Server) link(text string) (offer, *link, error) {
	o, err := parseOffer(text)
	if err != nil {
		return offer{}, nil, err
	}
	random := make([]byte, 24)
	if _, err := io.ReadFull(s.rand, random); err != nil {
		return offer{}, nil, fmt.Errorf("floor: credentials: %w", err)
	}
	secret := base64.RawStdEncoding.EncodeToString(random) // 32 ice-chars (RFC 8839 section 5.4)
	l := &link{server: s, ufrag: secret[:8], password: secret[8:], fingerprint: o.fingerprint}
	l.pipe = &pipe{Buffer: packetio.NewBuffer(), link: l}
	l.pipe.SetLimitSize(pipeBytes)
	return o, l, nil
}

// begin lets a link's client in.
func (s *Server) begin(l *link) {
	ctx, cancel := context.WithCancel(context.Background())
	l.done = cancel
	s.mu.Lock()
	s.byUfrag[l.ufrag] = l
	s.mu.Unlock()
	l.wg.Go(func() { l.runHandshake(ctx) })
}

func (s *Server) answerer(l *link) answerer {
	return answerer{ufrag: l.ufrag, password: l.password, fingerprint: fingerprint(s.certificate.Certificate[0]), address: s.address}
}

// remove takes a link out of everything.
func (s *Server) remove(l *link) {
	for _, f := range l.feeds {
		s.rooms.Remove(f.room, f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byUfrag, l.ufrag)
	if s.byAddr[l.addr] == l {
		delete(s.byAddr, l.addr)
	}
	for _, gone := range l.seats {
		gone.feed.seats = slices.DeleteFunc(gone.feed.seats, func(one *seat) bool { return one == gone })
	}
}
