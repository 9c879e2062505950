package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/signaling/wire"
)

// connection is one PeerConnection with what it publishes and receives.
type connection struct {
	cfg   Config
	pc    *webrtc.PeerConnection
	pubs  []*publication
	slots []*slot // in the order of the m-lines; fixed by offer
	wake  chan struct{}
	done  chan struct{} // closed by close
	up    chan struct{} // closed when connected
	rng   *rand.Rand
	steps *milestones

	planned atomic.Int64 // when runFeedback will look again, Unix nanoseconds; 0 when it is woken

	mu      sync.Mutex // guards what follows, and wg.Go against wg.Wait
	started bool
	closed  bool
	upOnce  bool
	wg      sync.WaitGroup
}

func newConnection(cfg Config, rng *rand.Rand, steps *milestones, slots wire.SlotCount) (*connection, error) {
	api, err := newAPI(cfg)
	if err != nil {
		return nil, err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return nil, fmt.Errorf("bench: peer connection: %w", err)
	}
	c := &connection{
		cfg: cfg, pc: pc, rng: rng, steps: steps, wake: make(chan struct{}, 1),
		done: make(chan struct{}), up: make(chan struct{}),
	}
	pc.OnTrack(c.onTrack)
	pc.OnConnectionStateChange(c.onState)
	if err := c.addTracks(slots); err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	return c, nil
}

// newAPI configures pion like a browser's WebRTC stack: VP8 with RTX, Opus, mid, rid, audio level,
// transport-wide feedback; receiver reports and feedback by pion's interceptors.
func newAPI(cfg Config) (*webrtc.API, error) {
	engine, registry, err := newMediaEngine()
	if err != nil {
		return nil, fmt.Errorf("bench: media engine: %w", err)
	}
	var s webrtc.SettingEngine
	s.SetNet(cfg.Net)
	s.SetIncludeLoopbackCandidate(cfg.Loopback)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(s)), nil
}

// addTracks adds the m-lines of the offer: own tracks first, then slots, audio before video.
func (c *connection) addTracks(slots wire.SlotCount) error {
	stream := fmt.Sprintf("stream%08x", c.rng.Uint32())
	m := c.cfg.Media
	if m.Mic != nil {
		c.pubs = append(c.pubs, newAudio(wire.SourceMic, m.Mic, stream, c.fork()))
	}
	if m.Camera != nil {
		c.pubs = append(c.pubs, newVideo(wire.SourceCamera, m.Camera, stream, c.fork()))
	}
	if m.Screen != nil {
		screen := newVideo(wire.SourceScreen, m.Screen, stream+"s", c.fork())
		screen.hidden = true
		c.pubs = append(c.pubs, screen)
	}
	for _, p := range c.pubs {
		if err := c.addPublication(p); err != nil {
			return err
		}
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		n := slots.Audio
		if kind == webrtc.RTPCodecTypeVideo {
			n = slots.Video
		}
		for range n {
			init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
			if _, err := c.pc.AddTransceiverFromKind(kind, init); err != nil {
				return fmt.Errorf("bench: slot: %w", err)
			}
		}
	}
	return nil
}

// fork returns a generator of its own for a track, so that what one track draws changes no other.
func (c *connection) fork() *rand.Rand { return rand.New(rand.NewPCG(c.rng.Uint64(), c.rng.Uint64())) }

func (c *connection) addPublication(p *publication) error {
	init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
	tr, err := c.pc.AddTransceiverFromTrack(p.encodings[0], init)
	if err != nil {
		return fmt.Errorf("bench: track: %w", err)
	}
	p.transceiver = tr
	for _, e := range p.encodings[1:] {
		if err := tr.Sender().AddEncoding(e); err != nil {
			return fmt.Errorf("bench: encoding: %w", err)
		}
	}
	return nil
}

// offer makes the offer. It carries no candidates: the server ignores them.
func (c *connection) offer() (*wire.Offer, error) {
	sd, err := c.pc.CreateOffer(nil)
	if err != nil {
		return nil, fmt.Errorf("bench: offer: %w", err)
	}
	if err := c.pc.SetLocalDescription(sd); err != nil {
		return nil, fmt.Errorf("bench: offer: %w", err)
	}
	out := &wire.Offer{SDP: sd.SDP}
	for _, p := range c.pubs {
		mid := p.transceiver.Mid()
		for _, e := range p.encodings {
			e.setMid(mid)
		}
		out.Tracks = append(out.Tracks, wire.Track{Mid: mid, Source: p.source})
	}
	for _, tr := range c.pc.GetTransceivers() {
		if tr.Direction() == webrtc.RTPTransceiverDirectionRecvonly && c.slot(tr.Mid()) == nil {
			c.slots = append(c.slots, &slot{mid: tr.Mid(), receiver: NewReceiver(tr.Kind() == webrtc.RTPCodecTypeVideo)})
		}
	}
	return out, nil
}

// answer applies the server's answer and starts the feedback in both directions.
func (c *connection) answer(sdp string) error {
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		return fmt.Errorf("bench: answer: %w", err)
	}
	c.goRun(c.runFeedback)
	for _, p := range c.pubs {
		for i := range p.encodings {
			c.goRun(func() { p.runRTCP(c.cfg.Clock, i) })
		}
	}
	return nil
}

// goRun starts a goroutine that close waits for.
func (c *connection) goRun(run func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(run)
	}
}

func (c *connection) slot(mid string) *slot {
	for _, s := range c.slots {
		if s.mid == mid {
			return s
		}
	}
	return nil
}

func (c *connection) publication(source wire.Source) *publication {
	for _, p := range c.pubs {
		if p.source == source {
			return p
		}
	}
	return nil
}

func (c *connection) onState(s webrtc.PeerConnectionState) {
	switch s {
	case webrtc.PeerConnectionStateConnected:
		c.mu.Lock()
		first := !c.upOnce
		c.upOnce = true
		c.mu.Unlock()
		if first {
			c.steps.reach(c.cfg.Clock.Now(), StepConnected)
			close(c.up)
		}
		c.cfg.Observer.Connected(c.cfg.Clock.Now(), true)
	case webrtc.PeerConnectionStateFailed:
		c.cfg.Observer.Connected(c.cfg.Clock.Now(), false)
	}
}

// connected waits until the connection is up.
func (c *connection) connected(ctx context.Context) error {
	select {
	case <-c.up:
		return nil
	case <-c.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the connection and waits for its goroutines.
func (c *connection) close() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.done)
	}
	c.mu.Unlock()
	_ = c.pc.GracefulClose()
	c.wg.Wait()
}
