package sim_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/bench/sim"
)

// probe is one who tries their network: a plain client with one audio line each way.
type probe struct {
	*device
	track    *webrtc.TrackLocalStaticRTP
	sent     uint16
	back     chan uint16 // sequence numbers of what came back
	reported chan uint8  // fractions lost, of the server's reports
}

func newProbe(w *sim.World, ref string) (*probe, error) {
	d, err := newDevice(w, ref, "/v1/check")
	if err != nil {
		return nil, err
	}
	p := &probe{device: d, back: make(chan uint16, 1000), reported: make(chan uint8, 1000)}
	if p.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "probe", "probe"); err != nil {
		return nil, err
	}
	t, err := d.pc.AddTransceiverFromTrack(p.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return nil, err
	}
	if _, err = d.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		return nil, err
	}
	runReports := func() {
		for {
			packets, _, err := t.Sender().ReadRTCP()
			if err != nil {
				return
			}
			for _, x := range packets {
				if r, ok := x.(*rtcp.ReceiverReport); ok && len(r.Reports) == 1 {
					p.reported <- r.Reports[0].FractionLost
				}
			}
		}
	}
	go runReports()
	d.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			packet, _, err := t.ReadRTP()
			if err != nil {
				return
			}
			p.back <- packet.SequenceNumber
		}
	})
	return p, nil
}

// open offers, and returns the status of the answer.
func (p *probe) open() (int, error) {
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return 0, err
	}
	if err := p.pc.SetLocalDescription(offer); err != nil {
		return 0, err
	}
	resp, err := p.w.HTTP(p.ref).Post(whipURL+"/v1/check", "application/sdp", strings.NewReader(offer.SDP))
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode, err
	}
	return resp.StatusCode, p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)})
}

// send sends n packets of speech, 20 ms apart.
func (p *probe) send(n, size int) error {
	for range n {
		p.sent++
		packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: p.sent, Timestamp: uint32(p.sent) * 960}, Payload: make([]byte, size)}
		packet.Payload[0] = 0xfc
		if err := p.track.WriteRTP(packet); err != nil {
			return err
		}
		sim.Advance(20 * time.Millisecond)
	}
	return nil
}

// TestCheckOfAConnection tries a bad network over the real path: what was lost on the way up is in the
// server's reports, what was lost on the way down in the holes of what comes back, neither in both.
func TestCheckOfAConnection(t *testing.T) {
	people := three()[:2]
	people[1].Up, people[1].Down = sim.Path{Delay: 20 * time.Millisecond, Loss: 0.2}, sim.Path{Delay: 20 * time.Millisecond, Loss: 0.1}
	check(t, sim.Plan{Seed: 12, MaxParticipants: 3, People: people, Steps: []sim.Step{
		sim.Do{Name: "check", Func: func(w *sim.World) error {
			p, err := newProbe(w, "patient")
			if err != nil {
				return err
			}
			defer func() { _ = p.pc.GracefulClose() }()
			if status, err := p.open(); err != nil || status != 200 {
				return fmt.Errorf("%d: %w", status, err)
			}
			sim.Advance(2 * time.Second)
			if err := p.send(250, 60); err != nil {
				return err
			}
			sim.Advance(time.Second)
			var came, first, last uint64
			for len(p.back) > 0 {
				last = uint64(<-p.back)
				if came++; came == 1 {
					first = last
				}
			}
			var up float64
			n := len(p.reported)
			for range n {
				up += float64(<-p.reported) / 256 / float64(n)
			}
			down := 1 - float64(came)/float64(last-first+1)
			t.Logf("figure: %d of 250 packets came back; loss up %.1f %% (20 is the link's), down %.1f %% (10 is)", came, 100*up, 100*down)
			if came < 150 || up < 0.1 || up > 0.3 || down < 0.05 || down > 0.15 {
				t.Errorf("%d came back, loss up %.2f, down %.2f", came, up, down)
			}
			return nil
		}},
	}}, func(*sim.World) {})
}

// TestChecksEndByThemselves: after 12 s nothing comes back, sixteen at once are enough, and large packets
// are not echoed.
func TestChecksEndByThemselves(t *testing.T) {
	check(t, sim.Plan{Seed: 13, MaxParticipants: 3, People: three()[:2], Steps: []sim.Step{
		sim.Do{Name: "check", Func: func(w *sim.World) error {
			var probes []*probe
			for i := range 3 {
				p, err := newProbe(w, "patient")
				if err != nil {
					return err
				}
				defer func() { _ = p.pc.GracefulClose() }()
				probes = append(probes, p)
				want := 200
				if i == 2 {
					want = http.StatusTooManyRequests
				}
				if status, err := p.open(); err != nil || status != want {
					return errors.Join(err, fmt.Errorf("connection %d: %d, want %d", i+1, status, want))
				}
			}
			sim.Advance(2 * time.Second)
			if err := probes[0].send(10, 300); err != nil {
				return err
			}
			if n := len(probes[0].back); n != 0 {
				t.Errorf("%d packets of 300 bytes came back", n)
			}
			if err := probes[0].send(10, 60); err != nil {
				return err
			}
			if len(probes[0].back) == 0 {
				t.Error("nothing came back: the test tests nothing")
			}
			sim.Advance(12 * time.Second)
			for len(probes[0].back) > 0 {
				<-probes[0].back
			}
			_ = probes[0].send(10, 60)
			if n := len(probes[0].back); n != 0 {
				t.Errorf("%d packets came back after the end", n)
			}
			return nil
		}},
	}}, func(*sim.World) {})
}
