package web_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/signaling/wire"
)

// media is the fake server's end of one connection. With echo it sends the camera's lowest layer
// back in every video slot.
type media struct {
	s     *session
	pc    *webrtc.PeerConnection
	slots []*webrtc.TrackLocalStaticRTP // of video
	flows chan uint32                   // the RTP timestamp of the first packet echoed; then closed
	once  sync.Once
	last  uint32 // RTP timestamp of the newest packet echoed
	mu    sync.Mutex
	wg    sync.WaitGroup
}

func newMedia(s *session, offer *wire.Offer) (*media, error) {
	quiet := logging.NewDefaultLoggerFactory() // pages that go away are errors to pion
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	set := webrtc.SettingEngine{LoggerFactory: quiet}
	set.SetLite(true)
	set.SetIncludeLoopbackCandidate(true)
	set.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if err := set.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(set)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	m := &media{s: s, pc: pc, flows: make(chan uint32, 1)}
	for i, kind := range slotKinds(offer.SDP) {
		codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
		if kind == "video" {
			codec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
		}
		track, err := webrtc.NewTrackLocalStaticRTP(codec, fmt.Sprint(kind, i), "slot")
		if err != nil {
			return nil, err
		}
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
		if _, err := pc.AddTransceiverFromTrack(track, init); err != nil {
			return nil, err
		}
		if kind == "video" {
			m.slots = append(m.slots, track)
		}
	}
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if s.who.echo && remote.RID() == "q" {
			m.wg.Go(func() { m.runEcho(remote) })
		}
	})
	return m, nil
}

func (m *media) answer(sdp string) (string, error) {
	if err := m.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}); err != nil {
		return "", err
	}
	answer, err := m.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(m.pc)
	if err := m.pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return m.pc.LocalDescription().SDP, nil
}

// runEcho ends when the connection is closed.
func (m *media) runEcho(remote *webrtc.TrackRemote) {
	_ = m.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}})
	for {
		p, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		if len(p.Payload) == 0 {
			continue // padding probes
		}
		p.Header = rtp.Header{Version: 2, Marker: p.Marker, SequenceNumber: p.SequenceNumber, Timestamp: p.Timestamp}
		m.mu.Lock()
		m.last = p.Timestamp
		m.mu.Unlock()
		m.once.Do(func() { m.flows <- p.Timestamp; close(m.flows) })
		for _, slot := range m.slots {
			if slot.WriteRTP(p) != nil {
				return
			}
		}
	}
}

func (m *media) now() uint32 { m.mu.Lock(); defer m.mu.Unlock(); return m.last }

func (m *media) close() {
	_ = m.pc.GracefulClose()
	m.wg.Wait()
}

// slotKinds lists the kinds of the m-lines that want to receive, in order.
func slotKinds(sdp string) []string {
	var kinds []string
	for _, section := range strings.Split(sdp, "\r\nm=")[1:] {
		if strings.Contains(section, "\r\na=recvonly") {
			kind, _, _ := strings.Cut(section, " ")
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func withoutCandidates(sdp string) string {
	var kept []string
	for line := range strings.SplitSeq(sdp, "\r\n") {
		if !strings.HasPrefix(line, "a=candidate:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\r\n")
}

// section returns the lines of the m-line mid.
func section(t *testing.T, sdp, mid string) string {
	t.Helper()
	for _, s := range strings.Split(sdp, "\r\nm=")[1:] {
		if strings.Contains(s+"\r\n", "\r\na=mid:"+mid+"\r\n") {
			return s
		}
	}
	t.Fatalf("no m-line with mid %s", mid)
	return ""
}
