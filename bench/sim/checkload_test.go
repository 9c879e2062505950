package sim_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/sim"
)

// measured is what the server tells of a check.
type measured struct {
	Over     bool
	Down, Up int
	DownFull bool    `json:"down_full"`
	UpFull   bool    `json:"up_full"`
	LossDown float64 `json:"loss_down"`
	LossUp   float64 `json:"loss_up"`
}

// newMeter is a probe with a video line each way, which tells what came or, deaf, nothing of it.
func newMeter(w *sim.World, ref string, deaf bool) (*probe, *webrtc.TrackLocalStaticRTP, error) {
	engine, registry := new(webrtc.MediaEngine), new(interceptor.Registry)
	if err := engine.RegisterDefaultCodecs(); err != nil {
		return nil, nil, err
	}
	if !deaf {
		if err := webrtc.ConfigureTWCCSender(engine, registry); err != nil {
			return nil, nil, err
		}
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.TransportCCURI}, kind); err != nil {
			return nil, nil, err
		}
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	s := webrtc.SettingEngine{LoggerFactory: quiet}
	s.SetNet(w.Host(ref))
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(s))
	pc, err := api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return nil, nil, err
	}
	p := &probe{device: &device{w: w, ref: ref, pc: pc}}
	if p.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "sound", "check"); err != nil {
		return nil, nil, err
	}
	pictures, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "pictures", "check")
	if err != nil {
		return nil, nil, err
	}
	for _, track := range []*webrtc.TrackLocalStaticRTP{p.track, pictures} {
		if _, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
			return nil, nil, err
		}
		if _, err := pc.AddTransceiverFromKind(track.Kind(), webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return nil, nil, err
		}
	}
	runRead := func(t *webrtc.TrackRemote) {
		for {
			if _, _, err := t.ReadRTP(); err != nil {
				return
			}
		}
	}
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { runRead(t) })
	return p, pictures, nil
}

// figures reads what the server tells.
func (p *probe) figures(into chan<- measured) {
	defer close(into)
	resp, err := p.w.HTTP(p.ref).Get(whipURL + p.resource)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var m measured
		if json.Unmarshal(lines.Bytes(), &m) == nil {
			into <- m
		}
	}
}

// locate offers as open does, and keeps where the figures are.
func (p *probe) locate() error {
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := p.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	resp, err := p.w.HTTP(p.ref).Post(whipURL+"/v1/check", "application/sdp", strings.NewReader(offer.SDP))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%d: %w", resp.StatusCode, err)
	}
	p.resource = resp.Header.Get("Location")
	return p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)})
}

// measure makes a check that sends pictures at a rate when it is told to, and returns what was told last, and how much
// came down.
func (p *probe) measure(pictures *webrtc.TrackLocalStaticRTP, rate int) (found measured, told int, err error) {
	if err := p.locate(); err != nil {
		return found, 0, err
	}
	figures := make(chan measured, 64)
	go p.figures(figures)
	var seq uint16
	bytes := 0
	for at := time.Duration(0); at < 11*time.Second; at += 20 * time.Millisecond {
		select {
		case m, ok := <-figures:
			if ok {
				found = m
				told++
			}
		default:
		}
		if told > 0 && !found.Over {
			for bytes += rate / 8 / 50; bytes >= 1000; bytes -= 1000 {
				seq++
				payload := make([]byte, 950)
				payload[0] = 0x10
				packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: uint32(at / time.Millisecond * 90)}, Payload: payload}
				if err := pictures.WriteRTP(packet); err != nil {
					return found, told, err
				}
			}
		}
		if err := p.send(1, 60); err != nil { // 20 ms
			return found, told, err
		}
	}
	return found, told, nil
}

// TestCheckMeasures: what a path carries either way, and loses, is found over the real one.
func TestCheckMeasures(t *testing.T) {
	for _, tt := range []struct {
		name             string
		up, down         sim.Path
		sends            int // bit/s of pictures
		lowDown, lowUp   int
		highDown, highUp int
		fullDown, fullUp bool
	}{
		{"narrow down, wide up", sim.Path{Delay: 20 * time.Millisecond}, sim.Path{Delay: 20 * time.Millisecond, Rate: link.Constant(250_000)},
			700_000, 235_000, 700_000, 260_000, 820_000, true, false},
		{"wide down, narrow up", sim.Path{Delay: 20 * time.Millisecond, Rate: link.Constant(150_000)}, sim.Path{Delay: 20 * time.Millisecond},
			300_000, 1_900_000, 140_000, 2_100_000, 160_000, false, true},
		{"lossy", sim.Path{Delay: 40 * time.Millisecond, Loss: 0.08}, sim.Path{Delay: 40 * time.Millisecond, Loss: 0.03},
			700_000, 1_800_000, 600_000, 2_100_000, 820_000, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			people := three()[:2]
			people[1].Up, people[1].Down = tt.up, tt.down
			check(t, sim.Plan{Seed: 14, MaxParticipants: 3, People: people, Steps: []sim.Step{
				sim.Do{Name: "check", Func: func(w *sim.World) error {
					p, pictures, err := newMeter(w, "patient", false)
					if err != nil {
						return err
					}
					defer func() { _ = p.pc.GracefulClose() }()
					m, told, err := p.measure(pictures, tt.sends)
					t.Logf("figure: %+v, told %d times", m, told)
					if !m.Over || m.Down < tt.lowDown || m.Down > tt.highDown || m.Up < tt.lowUp || m.Up > tt.highUp || m.DownFull != tt.fullDown || m.UpFull != tt.fullUp {
						t.Errorf("want %d to %d down, %d to %d up, full %v and %v", tt.lowDown, tt.highDown, tt.lowUp, tt.highUp, tt.fullDown, tt.fullUp)
					}
					if off := m.LossUp - tt.up.Loss; off < -0.05 || off > 0.05 {
						t.Errorf("%.3f lost up, %.3f is the path's", m.LossUp, tt.up.Loss)
					}
					if off := m.LossDown - tt.down.Loss; off < -0.03 || off > 0.03 {
						t.Errorf("%.3f lost down, %.3f is the path's", m.LossDown, tt.down.Loss)
					}
					return err
				}},
			}}, func(*sim.World) {})
		})
	}
}

// received counts the RTP packets that were sent to the patient.
func received(w *sim.World) (n int) {
	for _, s := range w.Host("patient").Down() {
		n += int(s.Sent)
	}
	return n
}

// TestCheckOfWhoIsDeaf: who tells nothing of what came is sent hardly any padding.
func TestCheckOfWhoIsDeaf(t *testing.T) {
	for _, deaf := range []bool{true, false} {
		check(t, sim.Plan{Seed: 15, MaxParticipants: 3, People: three()[:2], Steps: []sim.Step{
			sim.Do{Name: "check", Func: func(w *sim.World) error {
				p, pictures, err := newMeter(w, "patient", deaf)
				if err != nil {
					return err
				}
				defer func() { _ = p.pc.GracefulClose() }()
				before := received(w)
				m, told, err := p.measure(pictures, 0)
				got := received(w) - before
				t.Logf("figure: deaf %v: %d packets came, %+v, told %d times", deaf, got, m, told)
				if (m.Up != 0 || deaf) && (got > 580 || m.Down != 0 || m.Up != 0) || !deaf && (got < 900 || m.Down < 1_900_000) {
					t.Errorf("deaf %v: %d packets came, %d bit/s", deaf, got, m.Down)
				}
				return err
			}},
		}}, func(*sim.World) {})
	}
}
