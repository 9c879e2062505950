// Package transport is one participant's media connection: it answers an offer, hands decrypted
// RTP and RTCP in, and takes packets to protect and send. pion/webrtc lives in here and nowhere
// else in the server.
//
// In, on pion's SRTP goroutine, without a copy or a hand-over:
//
//	port.Conn ─► pion ICE, mux, SRTP decrypt ─► stream.Write ─► codec.Packet.Parse ─► Sink.RTP
//
// Out: Slot.Write ─► pion SRTP protect ─► port.Conn.
package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4/packetio"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/sfu/codec"
)

const (
	// dtlsDeadline ends a handshake that does not get anywhere.
	dtlsDeadline = 10 * time.Second
	// A browser checks consent every 5 s at most (RFC 7675 section 5.1): three lost checks are
	// "disconnected", 30 s of silence end the connection as RFC 7675 says.
	iceDisconnected = 12 * time.Second
	iceFailed       = 18 * time.Second // after disconnected
	// The client's checks keep the path open; ours are not sent (ICE-lite).
	iceKeepAlive = 2 * time.Second
	// srtpReplayWindow covers the reordering and retransmission of one second of video; pion's
	// default of 64 drops RTX that arrives behind a key frame.
	srtpReplayWindow = 1024
)

// Port is where packets come from and go to; *port.Port is one.
type Port interface {
	ice.UDPMux
	SetPassword(ufrag, password string)
}

// Options of an Engine.
type Options struct {
	Port      Port
	Advertise []netip.AddrPort // where clients reach the port, best first
	H264      bool             // H.264 before VP8
	SSRCLimit int              // streams that one participant may send; 16 if 0
	Clock     func() time.Time
	Rand      io.Reader // for the certificate's key
}

// Engine makes connections that share a port and a certificate.
type Engine struct {
	o           Options
	certificate webrtc.Certificate
}

// NewEngine makes the one certificate of the process: DTLS identities are bound to a call by the
// fingerprint in its SDP, so one key for all calls reveals nothing and saves a key per join.
func NewEngine(o Options) (*Engine, error) {
	if o.SSRCLimit == 0 {
		o.SSRCLimit = 16
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), o.Rand)
	if err != nil {
		return nil, fmt.Errorf("transport: certificate key: %w", err)
	}
	c, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("transport: certificate: %w", err)
	}
	return &Engine{o: o, certificate: *c}, nil
}

// videoCodec is the one that everybody must be able to send and take.
func (e *Engine) videoCodec() codec.Name {
	if e.o.H264 {
		return codec.H264
	}
	return codec.VP8
}

// newPeerConnection makes pion's part of c.
func (e *Engine) newPeerConnection(c *Conn) (*webrtc.PeerConnection, error) {
	m := &webrtc.MediaEngine{}
	if err := registerCodecs(m, e.o.H264); err != nil {
		return nil, err
	}
	s := webrtc.SettingEngine{LoggerFactory: silence{}}
	s.SetLite(true)
	s.SetICEUDPMux(e.o.Port)
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.SetICETimeouts(iceDisconnected, iceFailed, iceKeepAlive)
	// As DTLS client, pion would leave the choice of the SRTP profile to Chromium, which prefers
	// HMAC-SHA1: three to six times the cost of GCM (measured 2026-11-22).
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	s.SetSRTPReplayProtectionWindow(srtpReplayWindow)
	// HelloVerify proves that the client receives at its address; the authenticated ICE check has
	// proven that already. It costs a round trip and, with fragmented ClientHellos, two.
	s.SetDTLSInsecureSkipHelloVerify(true)
	s.SetDTLSConnectContextMaker(func() (context.Context, func()) {
		return context.WithTimeout(context.Background(), dtlsDeadline)
	})
	// Chromium's first check does not nominate; waiting for the one that does costs 54 ms of a
	// join. Select at the first authenticated check; a nomination may still change it.
	s.SetICEBindingRequestHandler(func(*stun.Message, ice.Candidate, ice.Candidate, *ice.CandidatePair) bool {
		return !c.selected.Swap(true)
	})
	s.BufferFactory = func(kind packetio.BufferPacketType, ssrc uint32) io.ReadWriteCloser {
		if kind == packetio.RTCPBufferPacket {
			return c.openRTCP(ssrc)
		}
		return c.openRTP(ssrc)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(s),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	return api.NewPeerConnection(webrtc.Configuration{
		Certificates: []webrtc.Certificate{e.certificate},
		BundlePolicy: webrtc.BundlePolicyMaxBundle,
	})
}

// registerCodecs names what the server forwards. Payload types are the client's in the end.
func registerCodecs(m *webrtc.MediaEngine, h264 bool) error {
	feedback := []webrtc.RTCPFeedback{{Type: "transport-cc"}}
	opus := webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1", RTCPFeedback: feedback,
	}}
	if err := m.RegisterCodec(opus, webrtc.RTPCodecTypeAudio); err != nil {
		return err
	}
	video := []webrtc.RTPCodecCapability{
		{MimeType: webrtc.MimeTypeVP8},
		{MimeType: webrtc.MimeTypeH264, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
	}
	if h264 {
		video[0], video[1] = video[1], video[0]
	}
	feedback = append(feedback, webrtc.RTCPFeedback{Type: "ccm", Parameter: "fir"},
		webrtc.RTCPFeedback{Type: "nack"}, webrtc.RTCPFeedback{Type: "nack", Parameter: "pli"})
	for i, c := range video {
		c.ClockRate, c.RTCPFeedback = 90000, feedback
		pt := webrtc.PayloadType(96 + 2*i)
		rtx := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", pt)}
		for j, capability := range []webrtc.RTPCodecCapability{c, rtx} {
			p := webrtc.RTPCodecParameters{PayloadType: pt + webrtc.PayloadType(j), RTPCodecCapability: capability}
			if err := m.RegisterCodec(p, webrtc.RTPCodecTypeVideo); err != nil {
				return err
			}
		}
	}
	return registerExtensions(m)
}

func registerExtensions(m *webrtc.MediaEngine) error {
	if err := webrtc.ConfigureSimulcastExtensionHeaders(m); err != nil {
		return err
	}
	for _, x := range []struct {
		uri  string
		kind webrtc.RTPCodecType
	}{
		{extMID, webrtc.RTPCodecTypeAudio},
		{extTransportCC, webrtc.RTPCodecTypeAudio},
		{extTransportCC, webrtc.RTPCodecTypeVideo},
		{extAudioLevel, webrtc.RTPCodecTypeAudio},
	} {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: x.uri}, x.kind); err != nil {
			return err
		}
	}
	return nil
}

// silence drops pion's log: it repeats addresses and, for hostile input, writes a line a packet.
// What matters of it is told by connection states and by the counters of sfu/port.
type silence struct{}

func (silence) NewLogger(string) logging.LeveledLogger { return silence{} }

func (silence) Trace(string)          {}
func (silence) Tracef(string, ...any) {}
func (silence) Debug(string)          {}
func (silence) Debugf(string, ...any) {}
func (silence) Info(string)           {}
func (silence) Infof(string, ...any)  {}
func (silence) Warn(string)           {}
func (silence) Warnf(string, ...any)  {}
func (silence) Error(string)          {}
func (silence) Errorf(string, ...any) {}
