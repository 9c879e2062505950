package bench

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const receiveMTU = 1500

// pionStack is the stack Pion.
type pionStack struct {
	c      *connection
	pc     *webrtc.PeerConnection
	mux    ice.UDPMux               // over Config.Socket; nil without
	tracks []*webrtc.RTPTransceiver // of the publications, in their order
	// answered tells a first answer from that to a restart.
	answered bool
}

// newPionStack makes a PeerConnection with the tracks and the slots of c.
func newPionStack(c *connection) (*pionStack, error) {
	s := &pionStack{c: c}
	api, err := s.newAPI(c.cfg)
	if err != nil {
		return nil, err
	}
	if s.pc, err = api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: peer connection: %w", err), s.closeMux())
	}
	s.pc.OnTrack(s.onTrack)
	s.pc.OnConnectionStateChange(s.onState)
	if err := s.addLines(); err != nil {
		return nil, errors.Join(err, s.pc.Close(), s.closeMux())
	}
	return s, nil
}

// newAPI configures pion like a browser's WebRTC stack: VP8 with RTX, Opus, mid, rid, audio level,
// transport-wide feedback; receiver reports and feedback by pion's interceptors.
func (s *pionStack) newAPI(cfg Config) (*webrtc.API, error) {
	engine, registry, err := newMediaEngine(cfg.Media.Repeat)
	if err != nil {
		return nil, fmt.Errorf("bench: media engine: %w", err)
	}
	var settings webrtc.SettingEngine
	settings.SetNet(cfg.Net)
	settings.SetIncludeLoopbackCandidate(cfg.Loopback)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	if cfg.GCM {
		settings.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM)
	}
	if cfg.Socket != nil {
		socket, err := cfg.Socket()
		if err != nil {
			return nil, fmt.Errorf("bench: socket: %w", err)
		}
		s.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: socket, Net: cfg.Net, Logger: settings.LoggerFactory.NewLogger("ice")})
		settings.SetICEUDPMux(s.mux)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings)), nil
}

// addLines adds the m-lines of the offer: own tracks first, then the slots.
func (s *pionStack) addLines() error {
	for _, p := range s.c.pubs {
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
		tr, err := s.pc.AddTransceiverFromTrack(&pionTrack{encoding: p.encodings[0]}, init)
		if err != nil {
			return fmt.Errorf("bench: track: %w", err)
		}
		s.tracks = append(s.tracks, tr)
		for _, e := range p.encodings[1:] {
			if err := tr.Sender().AddEncoding(&pionTrack{encoding: e}); err != nil {
				return fmt.Errorf("bench: encoding: %w", err)
			}
		}
	}
	for _, slot := range s.c.slots {
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := s.pc.AddTransceiverFromKind(kindOf(slot.video), init); err != nil {
			return fmt.Errorf("bench: slot: %w", err)
		}
	}
	return nil
}

func kindOf(video bool) webrtc.RTPCodecType {
	if video {
		return webrtc.RTPCodecTypeVideo
	}
	return webrtc.RTPCodecTypeAudio
}

// offer implements stack. The offer carries no candidates: the server ignores them.
func (s *pionStack) offer(restart bool) (string, error) {
	sd, err := s.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: restart})
	if err != nil {
		return "", fmt.Errorf("bench: offer: %w", err)
	}
	if err := s.pc.SetLocalDescription(sd); err != nil {
		return "", fmt.Errorf("bench: offer: %w", err)
	}
	if restart {
		return sd.SDP, nil
	}
	transceivers := s.pc.GetTransceivers() // in the order in which addLines added them
	for i, p := range s.c.pubs {
		p.setMid(transceivers[i].Mid())
	}
	for i, slot := range s.c.slots {
		slot.mid = transceivers[len(s.c.pubs)+i].Mid()
	}
	return sd.SDP, nil
}

// answer implements stack.
func (s *pionStack) answer(text string) error {
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}); err != nil {
		return fmt.Errorf("bench: answer: %w", err)
	}
	if s.answered {
		return nil
	}
	s.answered = true
	for i, p := range s.c.pubs {
		for j := range p.encodings {
			s.c.goRun(func() { s.runRTCP(p, j, s.tracks[i].Sender()) })
		}
	}
	return nil
}

// writeRTCP implements stack.
func (s *pionStack) writeRTCP(packets []rtcp.Packet) error { return s.pc.WriteRTCP(packets) }

// rtt implements stack: what pion measures takes a walk through all its statistics.
func (*pionStack) rtt() time.Duration { return 0 }

// close implements stack.
func (s *pionStack) close() {
	_ = s.pc.GracefulClose()
	_ = s.closeMux()
}

// closeMux closes the socket, where it is not the PeerConnection's own.
func (s *pionStack) closeMux() error {
	if s.mux == nil {
		return nil
	}
	return s.mux.Close()
}

func (s *pionStack) onState(state webrtc.PeerConnectionState) {
	switch state {
	case webrtc.PeerConnectionStateConnected:
		s.c.setUp(true)
	case webrtc.PeerConnectionStateFailed:
		s.c.setUp(false)
	}
}

func (s *pionStack) onTrack(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	slot := s.c.slot(r.RTPTransceiver().Mid())
	if slot == nil {
		return
	}
	slot.setStreams(uint32(t.SSRC()), uint32(t.RtxSSRC()))
	s.c.goRun(func() { s.runTrack(slot, t) })
	s.c.goRun(func() { runDrain(r) })
}

// runTrack hands over what arrives in one slot.
func (s *pionStack) runTrack(slot *slot, t *webrtc.TrackRemote) {
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
		in := Inbound{
			Size: n, Sequence: h.SequenceNumber, Timestamp: h.Timestamp, Marker: h.Marker,
			Repaired: attributes.Get(webrtc.AttributeRtxSequenceNumber) != nil,
			Payload:  buf[size:end],
		}
		if h.PayloadType == payloadRED {
			s.c.arrivedRED(s.c.cfg.Clock.Now(), slot, in)
			continue
		}
		s.c.arrived(s.c.cfg.Clock.Now(), slot, in, end-size)
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

// runRTCP reads the RTCP of one encoding until its sender stops.
func (s *pionStack) runRTCP(p *publication, index int, sender *webrtc.RTPSender) {
	rid := p.encodings[index].rid
	for {
		var packets []rtcp.Packet
		var err error
		if rid == "" {
			packets, _, err = sender.ReadRTCP()
		} else {
			packets, _, err = sender.ReadSimulcastRTCP(rid)
		}
		if err != nil {
			return
		}
		// A failed write means that the connection is closing; the next read tells.
		_ = p.feedback(s.c.cfg.Clock.Now(), index, packets)
	}
}

// pionTrack is an encoding as a webrtc.TrackLocal.
type pionTrack struct{ *encoding }

// pionWriter sends each packet at once.
type pionWriter struct{ webrtc.TrackLocalWriter }

// Flush implements rtpWriter.
func (pionWriter) Flush() error { return nil }

var errNoCodec = errors.New("bench: no codec negotiated")

// Bind implements webrtc.TrackLocal.
func (t *pionTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	codecs := c.CodecParameters()
	if len(codecs) == 0 {
		return webrtc.RTPCodecParameters{}, errNoCodec
	}
	chosen := codecs[0]
	b := binding{
		writer: pionWriter{c.WriteStream()}, ssrc: uint32(c.SSRC()), rtxSSRC: uint32(c.SSRCRetransmission()), pt: uint8(chosen.PayloadType),
	}
	for _, codec := range codecs {
		if strings.EqualFold(codec.MimeType, webrtc.MimeTypeRTX) && codec.SDPFmtpLine == "apt="+strconv.Itoa(int(b.pt)) {
			b.rtxPT = uint8(codec.PayloadType)
		}
		if strings.EqualFold(codec.MimeType, mimeRED) {
			b.redPT = uint8(codec.PayloadType)
		}
	}
	for _, x := range c.HeaderExtensions() {
		switch x.URI {
		case sdp.SDESMidURI:
			b.ids.mid = uint8(x.ID)
		case sdp.SDESRTPStreamIDURI:
			b.ids.rid = uint8(x.ID)
		case sdp.SDESRepairRTPStreamIDURI:
			b.ids.repairedRID = uint8(x.ID)
		case sdp.AudioLevelURI:
			b.ids.level = uint8(x.ID)
		}
	}
	t.bind(b)
	return chosen, nil
}

// Unbind implements webrtc.TrackLocal.
func (t *pionTrack) Unbind(webrtc.TrackLocalContext) error {
	t.unbind()
	return nil
}

// ID implements webrtc.TrackLocal.
func (t *pionTrack) ID() string { return string(t.source) }

// RID implements webrtc.TrackLocal.
func (t *pionTrack) RID() string { return t.rid }

// StreamID implements webrtc.TrackLocal.
func (t *pionTrack) StreamID() string { return t.stream }

// Kind implements webrtc.TrackLocal.
func (t *pionTrack) Kind() webrtc.RTPCodecType { return kindOf(t.video) }
