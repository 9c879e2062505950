// Package plainpion is the yardstick: the SFU that pion's documentation leads to. For every track that
// arrives, TrackRemote.Read, then TrackLocalStaticRTP.Write to everybody else in the room; pion's
// default interceptors; one UDP socket for all by pion's own mux. Of its settings only what makes a
// comparison fair is changed: it is the DTLS server and takes AES-128-GCM, as Bedside does.
package plainpion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/transport/v4"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/bench/yardstick"
)

const (
	receiveMTU = 1500
	// pliInterval is the least between two requests for a key frame of one track: a room of
	// watchers that come at once asks once.
	pliInterval = 500 * time.Millisecond
)

// Feed names one published track.
type Feed struct {
	Room  string
	Owner string
	Track string // the track id of its msid
}

// Config is what a Server is made of. The zero value of everything but Socket is usable.
type Config struct {
	Socket net.PacketConn // of all media; the Server closes it
	Net    transport.Net  // where the socket is; nil is the system's network
	Now    func() time.Time
	// Profiles of SRTP, the preferred one first; nil is AES-128-GCM alone.
	Profiles []dtls.SRTPProtectionProfile
	// Fault makes the server faulty, for tests of those who measure it. It gets every RTP packet that
	// was read, and calls forward for what is to be sent on, when it is, as a packet of the feed
	// named. It must not keep the packet. nil forwards everything at once.
	Fault func(from Feed, packet []byte, forward func(as Feed, packet []byte))
}

// Server is a plain SFU. It implements yardstick.Server.
type Server struct {
	cfg   Config
	api   *webrtc.API
	mux   ice.UDPMux
	rooms yardstick.Rooms[*feed]

	mu    sync.Mutex
	feeds map[Feed]*feed // only with a Fault, to find them by name
}

// feed is one published track.
type feed struct {
	name  Feed
	local *webrtc.TrackLocalStaticRTP
	ask   func() // for a key frame
}

// New starts a Server on a socket.
func New(cfg Config) (*Server, error) {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, fmt.Errorf("plainpion: codecs: %w", err)
	}
	registry := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(m, registry); err != nil {
		return nil, fmt.Errorf("plainpion: interceptors: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	quiet := &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	s := &Server{
		cfg: cfg, feeds: make(map[Feed]*feed),
		mux: ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: cfg.Socket, Net: cfg.Net, Logger: quiet.NewLogger("ice")}),
	}
	se := webrtc.SettingEngine{LoggerFactory: quiet}
	se.SetICEUDPMux(s.mux)
	if cfg.Net != nil {
		se.SetNet(cfg.Net)
	}
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	if err := se.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, fmt.Errorf("plainpion: DTLS role: %w", err)
	}
	if cfg.Profiles == nil {
		cfg.Profiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM}
	}
	se.SetSRTPProtectionProfiles(cfg.Profiles...)
	s.api = webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(se))
	return s, nil
}

// Close closes the socket. Sessions must have been closed before.
func (s *Server) Close() error {
	if err := errors.Join(s.mux.Close(), s.cfg.Socket.Close()); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("plainpion: close: %w", err)
	}
	return nil
}

// Publish implements yardstick.Server.
func (s *Server) Publish(ctx context.Context, room, id, offer string) (string, io.Closer, error) {
	return s.connect(ctx, offer, func(c *session) {
		c.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
			c.goRun(func() { s.runFeed(c.pc, t, Feed{Room: room, Owner: id, Track: t.ID()}) })
		})
	})
}

// runFeed forwards one track until it ends.
func (s *Server) runFeed(pc *webrtc.PeerConnection, t *webrtc.TrackRemote, name Feed) {
	local, err := webrtc.NewTrackLocalStaticRTP(t.Codec().RTPCodecCapability, t.ID(), t.StreamID())
	if err != nil {
		return
	}
	f := &feed{name: name, local: local, ask: s.keyRequests(pc, t)}
	if err := s.add(f); err != nil {
		return
	}
	defer s.remove(f)
	buf := make([]byte, receiveMTU)
	for {
		n, _, err := t.Read(buf)
		if err != nil {
			return
		}
		if s.cfg.Fault != nil {
			s.cfg.Fault(name, buf[:n], s.forward)
		} else {
			// A watcher that has gone does not end the feed of the others.
			_, _ = local.Write(buf[:n])
		}
	}
}

// keyRequests returns what asks for a key frame of a track, at most once per pliInterval.
func (s *Server) keyRequests(pc *webrtc.PeerConnection, t *webrtc.TrackRemote) func() {
	var mu sync.Mutex
	var last time.Time
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if now := s.cfg.Now(); now.Sub(last) >= pliInterval {
			last = now
			_ = pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(t.SSRC())}})
		}
	}
}

func (s *Server) add(f *feed) error {
	if s.cfg.Fault != nil {
		s.mu.Lock()
		s.feeds[f.name] = f
		s.mu.Unlock()
	}
	return s.rooms.Add(f.name.Room, f.name.Owner, f)
}

func (s *Server) remove(f *feed) {
	s.rooms.Remove(f.name.Room, f)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.feeds, f.name)
}

// forward is what a Fault calls.
func (s *Server) forward(as Feed, packet []byte) {
	s.mu.Lock()
	f := s.feeds[as]
	s.mu.Unlock()
	if f != nil {
		_, _ = f.local.Write(packet)
	}
}

// Watch implements yardstick.Server.
func (s *Server) Watch(ctx context.Context, room, id, offer string, tracks int) (string, io.Closer, error) {
	others := s.rooms.Others(ctx, room, id, tracks)
	return s.connect(ctx, offer, func(c *session) {
		for _, f := range others {
			sender, err := c.pc.AddTrack(f.local)
			if err != nil {
				continue
			}
			c.goRun(func() { runRTCP(sender, f) })
		}
	})
}

// runRTCP relays a watcher's requests for key frames.
func runRTCP(sender *webrtc.RTPSender, f *feed) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if _, isPLI := p.(*rtcp.PictureLossIndication); isPLI {
				f.ask()
			}
		}
	}
}
