package transport

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/port"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// counter is a Handler and a Sink that passes on what arrives.
type counter struct {
	packets chan uint16
	states  chan struct{}
}

func (c *counter) Flush()                             {}
func (c *counter) Open(string, string) Sink           { return c }
func (c *counter) RTCP(time.Time, rtcp.Packet)        {}
func (c *counter) Feedback(time.Time, *twcc.Feedback) {}
func (c *counter) StateChanged()                      { notify(c.states) }
func (c *counter) TooManyStreams()                    {}
func (c *counter) RTP(_ time.Time, _ codec.Name, p *codec.Packet, _ bool) {
	select {
	case c.packets <- p.Seq:
	default:
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// A phone that changes from Wi-Fi to the mobile network restarts ICE: a new ufrag on both sides, the
// same DTLS association, the same slots. Real sockets, because it is about where packets go.
func TestICERestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := port.New(socket, port.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	e, err := NewEngine(Options{
		Port: p, Clock: time.Now, Rand: rand.Reader,
		Advertise: []netip.AddrPort{socket.LocalAddr().(*net.UDPAddr).AddrPort()},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &counter{packets: make(chan uint16, 64), states: make(chan struct{}, 1)}
	c, err := e.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	client, track := newClient(t)
	defer func() { _ = client.Close() }()
	first := negotiate(ctx, t, c, client, nil)
	send := func(want uint16) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: want}, Payload: []byte(vp8)}
				if err := track.WriteRTP(packet); err != nil {
					t.Fatal(err)
				}
			case got := <-h.packets:
				if got == want {
					return
				}
			case <-ctx.Done():
				t.Fatalf("packet %d did not arrive", want)
			}
		}
	}
	send(1)
	second := negotiate(ctx, t, c, client, &webrtc.OfferOptions{ICERestart: true})
	if first == second {
		t.Error("the server kept its ufrag over the restart")
	}
	send(2)
	if c.State() != StateConnected {
		t.Errorf("state %d after the restart, want connected", c.State())
	}
}

func newClient(t *testing.T) (*webrtc.PeerConnection, *webrtc.TrackLocalStaticRTP) {
	t.Helper()
	s := webrtc.SettingEngine{}
	s.SetIncludeLoopbackCandidate(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	client, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		t.Fatal(err)
	}
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "camera", "camera")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		t.Fatal(err)
	}
	return client, track
}

// negotiate carries an offer to c and its answer back; it returns the ufrag of the server.
func negotiate(ctx context.Context, t *testing.T, c *Conn, client *webrtc.PeerConnection, o *webrtc.OfferOptions) string {
	t.Helper()
	own, err := client.CreateOffer(o)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(client)
	if err := client.SetLocalDescription(own); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		t.Fatal("the client does not gather candidates")
	}
	n, err := c.Answer(ctx, client.LocalDescription().SDP, anything)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: n.SDP}); err != nil {
		t.Fatal(err)
	}
	return c.negotiation.current.ufrag
}
