package floor

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/bench/yardstick"
)

// shortOffer publishes one microphone and one camera, and offers what the floor does not take.
func shortOffer() string {
	return strings.Join([]string{
		"v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1 2", "a=fingerprint:SHA-256 aa:bb:cc",
		"m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=mid:0", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789abcdef012345",
		"a=msid:anna mic", "a=rtpmap:111 opus/48000/2", "a=sendonly",
		"m=video 9 UDP/TLS/RTP/SAVPF 98 96", "c=IN IP4 0.0.0.0", "a=mid:1", "a=msid:anna camera", "a=rtpmap:98 H264/90000", "a=rtpmap:96 VP8/90000", "a=sendonly",
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:2", "",
	}, "\r\n")
}

func TestParseOffer(t *testing.T) {
	o, err := parseOffer(shortOffer())
	if err != nil {
		t.Fatal(err)
	}
	if o.ufrag != "abcd" || o.fingerprint != "AA:BB:CC" || len(o.media) != 3 {
		t.Fatalf("%+v", o)
	}
	mic, camera, data := o.media[0], o.media[1], o.media[2]
	if !mic.usable || mic.payload != 111 || mic.stream != "anna" || mic.track != "mic" {
		t.Errorf("mic: %+v", mic)
	}
	if !camera.usable || camera.payload != 96 || camera.mid != "1" || camera.track != "camera" {
		t.Errorf("camera: %+v", camera)
	}
	if data.usable {
		t.Errorf("data channel: %+v", data)
	}
	for name, broken := range map[string]string{
		"no SDP": "x", "no fingerprint": strings.ReplaceAll(shortOffer(), "SHA-256", "SHA-1"),
		"no ufrag": strings.ReplaceAll(shortOffer(), "ice-ufrag", "x"), "no media": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
	} {
		if _, err := parseOffer(broken); !errors.Is(err, yardstick.ErrOffer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzOffer looks for offers that break the answer.
func FuzzOffer(f *testing.F) {
	f.Add(shortOffer())
	f.Add(strings.ReplaceAll(shortOffer(), "sendonly", "recvonly"))
	f.Add(strings.ReplaceAll(shortOffer(), "a=mid:1", "a=mid:"))
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOffer(text)
		if err != nil {
			return
		}
		seats := make([]*seat, len(o.media))
		if o.media[0].usable {
			seats[0] = &seat{feed: &feed{stream: "ben", track: "camera"}, ssrc: 7}
		}
		a := answerer{ufrag: "u", password: "p", fingerprint: "AA", address: netip.MustParseAddrPort("127.0.0.1:9")}
		for _, receives := range []bool{true, false} {
			var answer sdp.SessionDescription
			if err := answer.UnmarshalString(a.write(o, seats, receives)); err != nil {
				t.Errorf("answer: %v", err)
			} else if len(answer.MediaDescriptions) != len(o.media) {
				t.Errorf("%d m-lines answered with %d", len(o.media), len(answer.MediaDescriptions))
			}
		}
	})
}
