package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	receiveMTU     = 1500
	reportInterval = time.Second // of sender reports
)

// slot is one receiving m-line.
type slot struct {
	mid string

	mu       sync.Mutex
	ssrc     uint32
	rtxSSRC  uint32
	receiver *Receiver
}

// connection is one PeerConnection with what it publishes and receives.
type connection struct {
	cfg   Config
	pc    *webrtc.PeerConnection
	pubs  []*publication
	slots []*slot // in the order of the m-lines; fixed by offer
	wake  chan struct{}
	start chan struct{} // closed when media may flow
	done  chan struct{} // closed by close
	up    chan struct{} // closed when connected
	rng   *rand.Rand

	planned atomic.Int64 // when runFeedback will look again, Unix nanoseconds; 0 when it is woken

	mu      sync.Mutex // guards what follows, and wg.Go against wg.Wait
	started bool
	closed  bool
	upOnce  bool
	wg      sync.WaitGroup
}

func newConnection(cfg Config, rng *rand.Rand, slots wire.SlotCount) (*connection, error) {
	api, err := newAPI(cfg)
	if err != nil {
		return nil, err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return nil, fmt.Errorf("bench: peer connection: %w", err)
	}
	c := &connection{
		cfg: cfg, pc: pc, rng: rng, wake: make(chan struct{}, 1),
		start: make(chan struct{}), done: make(chan struct{}), up: make(chan struct{}),
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
			close(c.up)
		}
		c.cfg.Observer.Connected(c.cfg.Clock.Now(), true)
	case webrtc.PeerConnectionStateFailed:
		c.cfg.Observer.Connected(c.cfg.Clock.Now(), false)
	}
}

func (c *connection) onTrack(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	s := c.slot(r.RTPTransceiver().Mid())
	if s == nil {
		return
	}
	s.mu.Lock()
	s.ssrc, s.rtxSSRC = uint32(t.SSRC()), uint32(t.RtxSSRC())
	s.mu.Unlock()
	c.goRun(func() { c.runSlot(s, t) })
	c.goRun(func() { runDrain(r) })
}

// runSlot accounts for what arrives in one slot.
func (c *connection) runSlot(s *slot, t *webrtc.TrackRemote) {
	buf := make([]byte, receiveMTU)
	for {
		n, attributes, err := t.Read(buf)
		if err != nil {
			return
		}
		var h rtp.Header
		size, err := h.Unmarshal(buf[:n])
		if err != nil {
			continue
		}
		end := n
		if h.Padding && n > size {
			end = max(size, n-int(buf[n-1]))
		}
		now := c.cfg.Clock.Now()
		p := Inbound{
			Sequence: h.SequenceNumber, Timestamp: h.Timestamp, Marker: h.Marker,
			Repaired: attributes.Get(webrtc.AttributeRtxSequenceNumber) != nil,
			Payload:  append([]byte(nil), buf[size:end]...),
		}
		s.mu.Lock()
		tag, ok := s.receiver.Packet(now, p)
		due := s.receiver.Deadline()
		s.mu.Unlock()
		if ok {
			c.cfg.Observer.Packet(now, Arrival{Mid: s.mid, Tag: tag, Timestamp: h.Timestamp, Repaired: p.Repaired})
		}
		c.schedule(due)
	}
}

// schedule makes runFeedback look at due, unless it will look before anyway.
func (c *connection) schedule(due time.Time) {
	if due.IsZero() {
		return
	}
	if planned := c.planned.Load(); planned == 0 || due.UnixNano() < planned {
		c.poke()
	}
}

// runDrain reads a receiver's RTCP, because pion's interceptors see only what is read.
func runDrain(r *webrtc.RTPReceiver) {
	buf := make([]byte, receiveMTU)
	for {
		if _, _, err := r.Read(buf); err != nil {
			return
		}
	}
}

// poke makes runFeedback look again.
func (c *connection) poke() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// runFeedback sends NACKs and PLIs when they are due.
func (c *connection) runFeedback() {
	for {
		now := c.cfg.Clock.Now()
		packets, due := c.feedback(now)
		c.planned.Store(0)
		if !due.IsZero() {
			c.planned.Store(due.UnixNano())
		}
		if len(packets) > 0 {
			// A failed write means that the connection is closing.
			_ = c.pc.WriteRTCP(packets)
		}
		var timer <-chan time.Time
		if !due.IsZero() {
			timer = c.cfg.Clock.After(max(due.Sub(now), time.Millisecond))
		}
		select {
		case <-c.wake:
		case <-timer:
		case <-c.done:
			return
		}
	}
}

// feedback collects what the slots ask for, and when to look again.
func (c *connection) feedback(now time.Time) (out []rtcp.Packet, due time.Time) {
	for _, s := range c.slots {
		s.mu.Lock()
		nacks, key := s.receiver.Feedback(now)
		next := s.receiver.Deadline()
		ssrc := s.ssrc
		s.mu.Unlock()
		if len(nacks) > 0 {
			out = append(out, &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(nacks)})
		}
		if key {
			out = append(out, &rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: ssrc})
		}
		if !next.IsZero() && (due.IsZero() || next.Before(due)) {
			due = next
		}
	}
	return out, due
}

// startMedia lets the tracks send, as from participant. Only the first call does anything.
func (c *connection) startMedia(participant string) {
	c.mu.Lock()
	if c.started || c.closed {
		c.mu.Unlock()
		return
	}
	c.started = true
	c.mu.Unlock()
	c.goRun(func() { c.runMedia(participant) })
}

// runMedia sends the tracks' frames when they are due, from when the connection is up.
func (c *connection) runMedia(participant string) {
	select {
	case <-c.up:
	case <-c.done:
		return
	}
	now := c.cfg.Clock.Now()
	for _, p := range c.pubs {
		// A phase of its own per track: real capture clocks do not start together either.
		p.start(participant, now.Add(time.Duration(c.rng.Int64N(int64(p.interval)))))
	}
	report := now.Add(reportInterval)
	for {
		due := report
		for _, p := range c.pubs {
			// A failed write means that the connection is closing; done tells.
			next, _ := p.tick(now)
			if next.Before(due) {
				due = next
			}
		}
		if !now.Before(report) {
			report = report.Add(reportInterval)
			c.sendReports(now)
		}
		select {
		case <-c.cfg.Clock.After(due.Sub(now)):
		case <-c.done:
			return
		}
		now = c.cfg.Clock.Now()
	}
}

func (c *connection) sendReports(now time.Time) {
	var out []rtcp.Packet
	for _, p := range c.pubs {
		for _, e := range p.encodings {
			if sr := e.senderReport(now); sr != nil {
				out = append(out, sr)
			}
		}
	}
	if len(out) > 0 {
		_ = c.pc.WriteRTCP(out)
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
