package bench_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// mirror is the smallest server a Client can talk to: it answers the offer with a PeerConnection of
// its own and sends the client's microphone and camera back into its first slots.
type mirror struct {
	t    *testing.T
	host *sim.Host
	pc   *webrtc.PeerConnection
	ws   *websocket.Conn
	mu   sync.Mutex // one writer of ws
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/join" {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"good"`) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"code":"invitation_unknown"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"token": "t", "connect": "/v1/connect"})
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.Subprotocol}}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		m.t.Error(err)
		return
	}
	m.ws = ws
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return
		}
		msg, id, err := wire.Decode(data)
		if err != nil {
			m.t.Error(err)
			return
		}
		m.handle(msg, id)
	}
}

func (m *mirror) send(msg wire.ServerMessage, re uint64) {
	data, err := wire.Encode(msg, re)
	if err != nil {
		m.t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ws.WriteMessage(websocket.TextMessage, data); err != nil {
		m.t.Error(err)
	}
}

func (m *mirror) handle(msg wire.ClientMessage, id uint64) {
	switch msg := msg.(type) {
	case *wire.Join:
		m.send(&wire.Joined{Self: "p1", State: wire.StateAdmitted, Slots: wire.SlotCount{Audio: 1, Video: 2}, Resume: "r"}, id)
	case *wire.Offer:
		m.send(&wire.Answer{SDP: m.answer(msg)}, id)
	case *wire.Leave:
		m.send(&wire.Ended{Reason: wire.EndedLeft}, 0)
	default:
		m.send(&wire.Error{Code: wire.CodeForbidden}, id)
	}
}

// answer makes the PeerConnection; the offer's m-lines are mic, camera and then slots.
func (m *mirror) answer(offer *wire.Offer) string {
	engine := &webrtc.MediaEngine{}
	registry := &interceptor.Registry{}
	fail := func(err error) {
		if err != nil {
			m.t.Error(err)
		}
	}
	fail(engine.RegisterDefaultCodecs())
	fail(webrtc.RegisterDefaultInterceptors(engine, registry)) // its NACK responder answers the client
	var s webrtc.SettingEngine
	s.SetNet(m.host)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	fail(s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer))
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(s)).
		NewPeerConnection(webrtc.Configuration{})
	fail(err)
	m.pc = pc
	back := map[webrtc.RTPCodecType]*webrtc.TrackLocalStaticRTP{}
	for kind, mime := range map[webrtc.RTPCodecType]string{
		webrtc.RTPCodecTypeAudio: webrtc.MimeTypeOpus, webrtc.RTPCodecTypeVideo: webrtc.MimeTypeVP8,
	} {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, kind.String(), "slot0")
		fail(err)
		slot, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		fail(err)
		go runRTCP(slot.Sender())
		back[kind] = track
	}
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for first := true; ; first = false {
			p, _, err := t.ReadRTP()
			if err != nil {
				return
			}
			if first {
				m.assign(t.Kind(), p.Timestamp)
			}
			p.Extension, p.Extensions = false, nil
			fail(back[t.Kind()].WriteRTP(p))
		}
	})
	fail(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer.SDP}))
	answer, err := pc.CreateAnswer(nil)
	fail(err)
	gathered := webrtc.GatheringCompletePromise(pc)
	fail(pc.SetLocalDescription(answer))
	<-gathered
	return pc.LocalDescription().SDP
}

// assign announces that the slot of this kind is the client's own from timestamp on.
func (m *mirror) assign(kind webrtc.RTPCodecType, timestamp uint32) {
	a := wire.Assignment{Mid: "2", Participant: "p1", Source: wire.SourceMic, State: wire.SlotLive, RTP: timestamp}
	if kind == webrtc.RTPCodecTypeVideo {
		a.Mid, a.Source = "3", wire.SourceCamera
	}
	m.send(&wire.Slots{Epoch: 1, Assignments: []wire.Assignment{a}}, 0)
}

// runRTCP reads a sender's RTCP, because pion's NACK responder sees only what is read.
func runRTCP(s *webrtc.RTPSender) {
	for {
		if _, _, err := s.ReadRTCP(); err != nil {
			return
		}
	}
}

// onEachStack runs a test with each way to carry media.
func onEachStack(t *testing.T, test func(t *testing.T, on func(*bench.Config))) {
	t.Run("pion", func(t *testing.T) { test(t, func(*bench.Config) {}) })
	t.Run("pion, own socket", func(t *testing.T) {
		test(t, func(c *bench.Config) { c.Socket = socketOf(c.Net.(*sim.Host)) })
	})
	t.Run("lean", func(t *testing.T) { test(t, func(c *bench.Config) { c.Stack, c.Verify = bench.Lean, true }) })
	t.Run("lean, counting", func(t *testing.T) { test(t, func(c *bench.Config) { c.Stack = bench.Lean }) })
}

func socketOf(h *sim.Host) func() (net.PacketConn, error) {
	return func() (net.PacketConn, error) {
		return h.Listen(0)
	}
}

// inMirror runs a client against a mirror for a minute of virtual time.
func inMirror(t *testing.T, up, down sim.Path, run func(ctx context.Context, c *bench.Client, m *mirror), set ...func(*bench.Config)) bench.Report {
	var report bench.Report
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, 1)
		network := sim.NewNetwork(1)
		serverHost, err := network.AddHost("10.0.0.1", sim.Path{}, sim.Path{})
		if err != nil {
			t.Fatal(err)
		}
		clientHost, err := network.AddHost("10.0.0.2", up, down)
		if err != nil {
			t.Fatal(err)
		}
		listener := sim.NewListener(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80})
		m := &mirror{t: t, host: serverHost}
		server := &http.Server{Handler: m}
		go func() { _ = server.Serve(listener) }()
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return listener.Dial(ctx, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1})
		}
		transport := &http.Transport{DialContext: dial}
		cfg := bench.Config{
			BaseURL: "http://10.0.0.1", Invitation: "good", HTTP: &http.Client{Transport: transport}, DialContext: dial,
			Net: clientHost, Seed: 7, Media: bench.Media{Camera: bench.Camera(), Mic: bench.Microphone()},
		}
		for _, s := range set {
			s(&cfg)
		}
		if cfg.Socket == nil && cfg.Stack == bench.Lean {
			cfg.Socket = socketOf(clientHost)
		}
		c := bench.New(cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := c.Join(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Connected(ctx); err != nil {
			t.Fatal(err)
		}
		run(ctx, c, m)
		report = c.Report()
		c.Close()
		_ = m.pc.GracefulClose()
		_ = server.Close()
		transport.CloseIdleConnections()
		sim.Advance(15 * time.Second)
	})
	return report
}

func TestClientAgainstAMirror(t *testing.T) { onEachStack(t, testClientAgainstAMirror) }

func testClientAgainstAMirror(t *testing.T, on func(*bench.Config)) {
	path := sim.Path{Delay: 10 * time.Millisecond}
	var traffic bench.Traffic
	r := inMirror(t, path, path, func(ctx context.Context, c *bench.Client, m *mirror) {
		sim.Advance(time.Minute)
		if _, err := c.Call(ctx, &wire.Admit{}); err == nil || err.(*bench.RemoteError).Code != wire.CodeForbidden {
			t.Errorf("a refusal came back as %v", err)
		}
		if err := c.Leave(ctx); err != nil {
			t.Error(err)
		}
		c.Drop()
		traffic = c.Traffic() // that of a connection which is gone
	}, on)
	if r.Ended != wire.EndedLeft || r.Participant != "p1" {
		t.Errorf("ended %q as %q", r.Ended, r.Participant)
	}
	mic, camera := r.Received("p1", wire.SourceMic), r.Received("p1", wire.SourceCamera)
	rtx := r.Total(func(s bench.SlotReport) uint64 { return s.RTX })
	if sent, got := traffic.SentPackets, r.Total(func(s bench.SlotReport) uint64 { return s.Packets }); sent != r.Sent[0].Packets+r.Sent[1].Packets || got != traffic.ReceivedPackets || rtx != 0 {
		t.Errorf("traffic %+v: %d packets arrived", traffic, got)
	}
	if traffic.SentBytes < 60*(200_000+24_000)/8*8/10 || traffic.ReceivedBytes > traffic.SentBytes || traffic.ReceivedBytes < traffic.SentBytes*99/100 {
		t.Errorf("traffic %+v in a minute of 224 kbit/s that comes back", traffic)
	}
	// Two packets at most are on the way when the minute is over.
	if sent := r.Sent[0].Packets; mic.Packets != sent && mic.Packets+1 != sent {
		t.Errorf("%d of %d audio packets came back", mic.Packets, sent)
	}
	if sent := r.Sent[1].Frames; camera.Frames != sent && camera.Frames+1 != sent {
		t.Errorf("%d of %d frames came back", camera.Frames, sent)
	}
	if r.Sent[0].Packets < 2990 || r.Sent[1].Frames < 895 {
		t.Errorf("in a minute %d audio packets and %d frames were sent", r.Sent[0].Packets, r.Sent[1].Frames)
	}
	for _, s := range r.Slots {
		if s.Wrong+s.Lost+s.Duplicates+s.Broken != 0 || s.Continuity != (bench.Continuity{}) {
			t.Errorf("faults: %+v", s)
		}
	}
}

// Every step of a join is told once, in order, when it is reached.
func TestClientTellsItsSteps(t *testing.T) {
	path := sim.Path{Delay: 10 * time.Millisecond}
	var mu sync.Mutex
	var steps []bench.Step
	var at []time.Time
	inMirror(t, path, path, func(context.Context, *bench.Client, *mirror) { sim.Advance(10 * time.Second) }, func(c *bench.Config) {
		c.Observer.Step = func(now time.Time, s bench.Step) {
			mu.Lock()
			defer mu.Unlock()
			steps, at = append(steps, s), append(at, now)
		}
	})
	want := []bench.Step{bench.StepToken, bench.StepSession, bench.StepJoined, bench.StepAnswered, bench.StepConnected, bench.StepPacket, bench.StepFrame}
	if !slices.Equal(steps, want) || !slices.IsSortedFunc(at, time.Time.Compare) {
		t.Fatalf("steps %v at %v, want %v", steps, at, want)
	}
	// ICE and DTLS take three round trips of 20 ms; what is sent comes back after one.
	if d := at[4].Sub(at[3]); d < 60*time.Millisecond || d > time.Second {
		t.Errorf("connected %v after the answer", d)
	}
	if d := at[6].Sub(at[4]); d < 20*time.Millisecond || d > time.Second {
		t.Errorf("the first frame came %v after the connection", d)
	}
}

func TestClientRepairsLoss(t *testing.T) { onEachStack(t, testClientRepairsLoss) }

func testClientRepairsLoss(t *testing.T, on func(*bench.Config)) {
	lossy := sim.Path{Delay: 10 * time.Millisecond, Loss: 0.05}
	r := inMirror(t, sim.Path{Delay: 10 * time.Millisecond}, lossy, func(context.Context, *bench.Client, *mirror) {
		sim.Advance(time.Minute)
	}, on)
	for _, s := range r.Slots {
		if s.Video && s.Packets > 0 && (s.Repaired < 50 || s.Lost != 0) {
			t.Errorf("%d repaired, %d lost of %d packets", s.Repaired, s.Lost, s.Packets)
		}
	}
}

func TestClientAnswersNACKAndPLI(t *testing.T) { onEachStack(t, testClientAnswersNACKAndPLI) }

func testClientAnswersNACKAndPLI(t *testing.T, on func(*bench.Config)) {
	path := sim.Path{Delay: 10 * time.Millisecond}
	r := inMirror(t, path, path, func(_ context.Context, _ *bench.Client, m *mirror) {
		sim.Advance(10 * time.Second)
		var ssrc uint32
		var last uint16
		for _, receiver := range m.pc.GetReceivers() {
			if track := receiver.Track(); track != nil && track.Kind() == webrtc.RTPCodecTypeVideo && track.SSRC() != 0 {
				ssrc = uint32(track.SSRC())
			}
		}
		for range 3 {
			err := m.pc.WriteRTCP([]rtcp.Packet{
				&rtcp.PictureLossIndication{MediaSSRC: ssrc},
				&rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: []rtcp.NackPair{{PacketID: last, LostPackets: 0xffff}}},
			})
			if err != nil {
				t.Error(err)
			}
			sim.Advance(time.Second)
		}
	}, on)
	camera := r.Sent[1]
	if camera.KeyRequests != 3 || camera.Nacked != 3*17 {
		t.Errorf("%d key requests, %d packets asked for", camera.KeyRequests, camera.Nacked)
	}
}
