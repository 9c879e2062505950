package sim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

const whipURL = "http://10.0.0.1:8443"

// device is a plain client of WHIP or WHEP: pion as it comes.
type device struct {
	w        *sim.World
	ref      string
	endpoint string
	pc       *webrtc.PeerConnection
	token    string
	resource string
	etag     string
	answer   string
	deaf     bool // never connects
}

func newDevice(w *sim.World, ref, endpoint string) (*device, error) {
	m := new(webrtc.MediaEngine)
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	s := webrtc.SettingEngine{LoggerFactory: quiet}
	s.SetNet(w.Host(ref))
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return nil, err
	}
	return &device{w: w, ref: ref, endpoint: endpoint, pc: pc}, nil
}

// encoder publishes one VP8 track.
type encoder struct {
	*device
	track    *webrtc.TrackLocalStaticRTP
	sequence uint16
}

func newEncoder(w *sim.World, ref string) (*encoder, error) {
	d, err := newDevice(w, ref, "/v1/whip")
	if err != nil {
		return nil, err
	}
	e := &encoder{device: d}
	e.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", "encoder")
	if err == nil {
		_, err = d.pc.AddTransceiverFromTrack(e.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	}
	return e, err
}

// request sends one, and returns the answer if it has the status.
func (e *device) request(method, path, typ, body string, status int) (string, http.Header, error) {
	req, err := http.NewRequestWithContext(e.w.Context(), method, whipURL+path, strings.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Content-Type", typ)
	req.Header.Set("Authorization", "Bearer "+e.token)
	req.Header.Set("If-Match", "*")
	resp, err := e.w.HTTP(e.ref).Do(req)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s %s: %d %s, want %d", method, path, resp.StatusCode, answer, status)
	}
	return string(answer), resp.Header, err
}

// open joins and opens the resource, and waits until the media connection is up.
func (e *device) open() error {
	answer, _, err := e.request("POST", "/v1/join", "application/json", `{"invitation":"`+e.w.Invitation(e.ref)+`"}`, 200)
	if err != nil {
		return err
	}
	var joining struct{ Token string }
	if err := json.NewDecoder(bytes.NewReader([]byte(answer))).Decode(&joining); err != nil {
		return err
	}
	e.token = joining.Token
	connected := make(chan struct{}, 1)
	e.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			select {
			case connected <- struct{}{}:
			default:
			}
		}
	})
	offer, err := e.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := e.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	answer, header, err := e.request("POST", e.endpoint, "application/sdp", offer.SDP, 201)
	if err != nil {
		return err
	}
	e.resource, e.etag, e.answer = header.Get("Location"), header.Get("ETag"), answer
	if e.deaf {
		return nil
	}
	if err := e.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return err
	}
	select {
	case <-connected:
		return nil
	case <-e.w.Context().Done():
		return e.w.Context().Err()
	}
}

// restart restarts ICE, as a client does that has changed networks.
func (e *device) restart() error {
	offer, err := e.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		return err
	}
	if err := e.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	const fragment = "application/trickle-ice-sdpfrag"
	mine := credentials(offer.SDP)
	theirs, header, err := e.request("PATCH", e.resource, fragment, strings.Join(mine, "\r\n")+"\r\n", 200)
	if err != nil {
		return err
	}
	if header.Get("ETag") == e.etag {
		return fmt.Errorf("the ETag %s is as before", e.etag)
	}
	before, after := credentials(e.answer), credentials(theirs)
	if before[0] == after[0] || before[1] == after[1] {
		return fmt.Errorf("the server kept its credentials")
	}
	e.answer = strings.NewReplacer(before[0], after[0], before[1], after[1]).Replace(e.answer)
	return e.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: e.answer})
}

// credentials returns the first ice-ufrag and ice-pwd lines.
func credentials(sdp string) []string {
	var lines []string
	for _, prefix := range []string{"a=ice-ufrag:", "a=ice-pwd:"} {
		_, rest, _ := strings.Cut(sdp, prefix)
		value, _, _ := strings.Cut(rest, "\r\n")
		lines = append(lines, prefix+value)
	}
	return lines
}

// send sends frames for a while, 25 a second, each a key frame in one packet.
func (e *encoder) send(frames int) error {
	const keyFrame = "\x10\x00\x00\x00\x9d\x01\x2a\x40\x01\xf0\x00"
	for range frames {
		e.sequence++
		packet := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: true, SequenceNumber: e.sequence, Timestamp: uint32(e.w.Elapsed().Milliseconds() * 90)}, Payload: []byte(keyFrame)}
		if err := e.track.WriteRTP(packet); err != nil {
			return err
		}
		sim.Advance(40 * time.Millisecond)
	}
	return nil
}

// video returns how many packets of video a person has received.
func video(w *sim.World, ref string) (packets uint64) {
	for _, s := range w.Client(ref).Report().Slots {
		if s.Video {
			packets += s.Packets
		}
	}
	return packets
}

// TestWHIP has a device publish with a plain WebRTC client: nothing of it reaches anybody until it is let
// in, everything then, and nothing on hold; an ICE restart keeps it, DELETE ends it.
func TestWHIP(t *testing.T) {
	people := []sim.Person{{Ref: "doctor", Role: wire.RoleClinician}, {Ref: "scope", Role: wire.RoleDevice}}
	const frames = 50
	const seen = frames - 1 // the first packet tells that there is something to forward
	var e *encoder
	step := func(name string, want uint64, f func(w *sim.World) error) sim.Step {
		return sim.Do{Name: name, Func: func(w *sim.World) error {
			before := video(w, "doctor")
			if err := f(w); err != nil {
				return err
			}
			sim.Advance(500 * time.Millisecond)
			// A probe for bandwidth may be one packet more; where nothing may flow, nothing does.
			if got := video(w, "doctor") - before; got != want && (want == 0 || got != want+1) {
				t.Errorf("%s: the doctor has received %d packets, want %d", name, got, want)
			}
			return nil
		}}
	}
	send := func(*sim.World) error { return e.send(frames) }
	p := sim.Plan{Seed: 7, MaxParticipants: 3, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"},
		step("publish", 0, func(w *sim.World) (err error) {
			if e, err = newEncoder(w, "scope"); err == nil {
				err = e.open()
			}
			return err
		}),
		step("in the lobby", 0, send),
		sim.Admit{By: "doctor", Who: "scope"}, sim.Pass{For: time.Second},
		step("admitted", seen, send),
		sim.Hold{By: "doctor", Who: "scope"}, sim.Pass{For: time.Second},
		step("on hold", 0, send),
		sim.Unhold{By: "doctor", Who: "scope"}, sim.Pass{For: time.Second},
		step("back", seen, send),
		sim.Do{Name: "restart", Func: func(*sim.World) error { return e.restart() }}, sim.Pass{For: time.Second},
		// Longer than a connection lives whose client checks with credentials that are not the server's.
		step("for 40 s after an ICE restart", 20*frames, func(*sim.World) error { return e.send(20 * frames) }),
		step("delete", 0, func(*sim.World) error {
			if _, _, err := e.request("DELETE", e.resource, "", "", 200); err != nil {
				return err
			}
			_, _, err := e.request("DELETE", e.resource, "", "", 404)
			return err
		}),
		step("gone", 0, func(w *sim.World) error {
			err := e.send(frames)
			if sessions := w.Metric("bedside_sessions"); sessions != 1 {
				t.Errorf("%v sessions", sessions)
			}
			return err
		}),
		sim.Do{Name: "close", Func: func(*sim.World) error { return e.pc.GracefulClose() }},
	}}
	check(t, p, func(*sim.World) {})
}

// TestWHIPSilence has a publisher vanish, and one that never comes: nobody tells the server, and still the
// session ends.
func TestWHIPSilence(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprintf("never connects %t", deaf), func(t *testing.T) {
			var e *encoder
			sessions := func(w *sim.World, want float64) {
				t.Helper()
				if got := w.Metric("bedside_sessions"); got != want {
					t.Errorf("at %v: %v sessions, want %v", w.Elapsed(), got, want)
				}
			}
			p := sim.Plan{Seed: 8, MaxParticipants: 3, People: []sim.Person{{Ref: "doctor", Role: wire.RoleClinician}, {Ref: "scope", Role: wire.RoleDevice}}, Steps: []sim.Step{
				sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"},
				sim.Do{Name: "publish", Func: func(w *sim.World) (err error) {
					if e, err = newEncoder(w, "scope"); err != nil {
						return err
					}
					e.deaf = deaf
					err = e.open()
					w.Host("scope").Cut(true)
					sessions(w, 2)
					return err
				}},
				sim.Pass{For: 25 * time.Second},
				sim.Do{Name: "still there", Func: func(w *sim.World) error { sessions(w, 2); return nil }},
				sim.Pass{For: 20 * time.Second},
				sim.Do{Name: "gone", Func: func(w *sim.World) error {
					sessions(w, 1)
					_, _, err := e.request("DELETE", e.resource, "", "", 404)
					return errors.Join(err, e.pc.GracefulClose())
				}},
			}}
			check(t, p, func(*sim.World) {})
		})
	}
}
