package whip_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/signaling/whip"
)

// offer is what GStreamer and OBS send, without what nobody here reads.
const offer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE video0 audio1\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\na=mid:video0\r\na=sendonly\r\n" +
	"a=candidate:1 1 UDP 2 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n" +
	"m=audio 0 UDP/TLS/RTP/SAVPF 97\r\na=bundle-only\r\na=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\na=mid:audio1\r\na=sendrecv\r\n"

func replace(old, with string) string { return strings.ReplaceAll(offer, old, with) }

func TestReadOffer(t *testing.T) {
	both := []whip.Line{{Mid: "video0", Video: true}, {Mid: "audio1"}}
	for _, tt := range []struct {
		name, text string
		lines      []whip.Line
		err        error
	}{
		{"two lines", offer, both, nil},
		{"bare newlines", replace("\r\n", "\n"), both, nil},
		{"no direction", replace("a=sendonly\r\n", ""), both, nil},
		{"the session's direction", strings.Replace(replace("a=sendonly\r\n", ""), "t=0 0\r\n", "t=0 0\r\na=sendonly\r\n", 1), both, nil},
		{"one line", offer[:strings.Index(offer, "m=audio")], both[:1], nil},
		{"empty", "", nil, whip.ErrSyntax},
		{"not SDP", "hello", nil, whip.ErrSyntax},
		{"JSON", `{"sdp":"v=0"}`, nil, whip.ErrSyntax},
		{"an empty line", strings.Replace(offer, "s=-\r\n", "s=-\r\n\r\n", 1), nil, whip.ErrSyntax},
		{"no m-line", offer[:strings.Index(offer, "m=video")], nil, whip.ErrSyntax},
		{"no mid", replace("a=mid:audio1\r\n", ""), nil, whip.ErrSyntax},
		{"a data channel", offer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n", nil, whip.ErrUnsupported},
		{"two videos", offer + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=sendonly\r\n", nil, whip.ErrUnsupported},
		{"a line to receive", replace("a=sendonly", "a=recvonly"), nil, whip.ErrUnsupported},
		{"an inactive line", replace("a=sendrecv", "a=inactive"), nil, whip.ErrUnsupported},
		{"the session receives", strings.Replace(replace("a=sendonly\r\n", ""), "t=0 0\r\n", "t=0 0\r\na=recvonly\r\n", 1), nil, whip.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := whip.ReadOffer(tt.text)
			if !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) || !reflect.DeepEqual(o.Lines, tt.lines) {
				t.Fatalf("got %v, %v; want %v, %v", o.Lines, err, tt.lines, tt.err)
			}
			if err != nil {
				return
			}
			sdp := o.SDP()
			if n := strings.Count(sdp, "a=sendonly\r\n"); n != len(tt.lines) {
				t.Errorf("%d lines send, want %d", n, len(tt.lines))
			}
			for _, gone := range []string{"candidate", "sendrecv"} {
				if strings.Contains(sdp, gone) {
					t.Errorf("the offer still has %s", gone)
				}
			}
		})
	}
}

func TestFragment(t *testing.T) {
	const password = "bbbbbbbbbbbbbbbbbbbbbb"
	fresh := whip.Credentials{Ufrag: "efgh", Password: password}
	for _, tt := range []struct {
		name, text string
		want       whip.Credentials
		restarts   bool
		err        error
	}{
		{"new credentials", "a=ice-ufrag:efgh\r\na=ice-pwd:" + password + "\r\n", fresh, true, nil},
		{"in an m-section", "m=video 9 RTP/AVP 0\na=mid:0\na=ice-ufrag:efgh\na=ice-pwd:" + password, fresh, true, nil},
		{"the same", "a=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n",
			whip.Credentials{Ufrag: "abcd", Password: "aaaaaaaaaaaaaaaaaaaaaa"}, false, nil},
		{"candidates only", "m=video 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n", whip.Credentials{}, false, nil},
		{"empty", "", whip.Credentials{}, false, whip.ErrSyntax},
		{"JSON", `{"candidate":""}`, whip.Credentials{}, false, whip.ErrSyntax},
		{"no password", "a=ice-ufrag:efgh\r\n", whip.Credentials{}, false, whip.ErrSyntax},
		{"a short ufrag", "a=ice-ufrag:efg\r\na=ice-pwd:" + password, whip.Credentials{}, false, whip.ErrSyntax},
		{"a short password", "a=ice-ufrag:efgh\r\na=ice-pwd:" + password[1:], whip.Credentials{}, false, whip.ErrSyntax},
		{"other characters", "a=ice-ufrag:ef h\r\na=ice-pwd:" + password, whip.Credentials{}, false, whip.ErrSyntax},
		{"a long ufrag", "a=ice-ufrag:" + strings.Repeat("x", 257) + "\r\na=ice-pwd:" + password, whip.Credentials{}, false, whip.ErrSyntax},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := whip.ReadOffer(offer)
			if err != nil {
				t.Fatal(err)
			}
			got, err := whip.ReadFragment(tt.text)
			if got != tt.want || !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) || o.Restarts(got) != tt.restarts {
				t.Fatalf("got %v, %v, restarts %t", got, err, o.Restarts(got))
			}
			if !tt.restarts {
				return
			}
			next := o.Restarted(got)
			if whip.CredentialsOf(next.SDP()) != got || next.Restarts(got) || strings.Contains(next.SDP(), "abcd") {
				t.Errorf("the restarted offer has not the credentials: %s", next.SDP())
			}
			if back, err := whip.ReadFragment(got.Fragment()); back != got || err != nil {
				t.Errorf("the fragment is read as %v, %v", back, err)
			}
		})
	}
}

func FuzzReadOffer(f *testing.F) {
	f.Add(offer)
	f.Add("v=0\nm=audio\na=mid:\x00\n")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := whip.ReadOffer(text)
		if err != nil {
			return
		}
		// What was read reads the same again, and after a restart.
		for _, again := range []string{o.SDP(), o.Restarted(whip.Credentials{Ufrag: "efgh", Password: "b"}).SDP()} {
			if second, err := whip.ReadOffer(again); err != nil || !reflect.DeepEqual(second.Lines, o.Lines) {
				t.Fatalf("read again: %v, %v, want %v", second.Lines, err, o.Lines)
			}
		}
	})
}

func FuzzReadFragment(f *testing.F) {
	f.Add("a=ice-ufrag:efgh\r\na=ice-pwd:bbbbbbbbbbbbbbbbbbbbbb\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := whip.ReadFragment(text)
		if err != nil || c == (whip.Credentials{}) {
			return
		}
		if back, err := whip.ReadFragment(c.Fragment()); back != c || err != nil {
			t.Fatalf("%v is read as %v, %v", c, back, err)
		}
	})
}
