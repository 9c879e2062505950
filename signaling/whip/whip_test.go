package whip_test

import (
	"errors"
	"fmt"
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
	both := []whip.Line{{Mid: "video0", Video: true, Sends: true}, {Mid: "audio1", Sends: true}}
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
			o, err := whip.ReadOffer(whip.WHIP, tt.text)
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

// more returns n m-lines of video that receive.
func more(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:more%d\r\na=recvonly\r\n", i)
	}
	return b.String()
}

func TestReadOfferToWatch(t *testing.T) {
	watching := strings.ReplaceAll(offer, "a=sendonly", "a=recvonly")
	for _, tt := range []struct {
		name, text string
		lines      int
		err        error
	}{
		{"two lines", watching, 2, nil}, // one of them sendrecv
		{"no direction", replace("a=sendonly\r\n", ""), 2, nil},
		{"the session's direction", strings.Replace(replace("a=sendonly\r\n", ""), "t=0 0\r\n", "t=0 0\r\na=recvonly\r\n", 1), 2, nil},
		{"as many as there are", watching + more(whip.MaxLines-1), 1 + whip.MaxLines, nil},
		{"one more", watching + more(whip.MaxLines), 0, whip.ErrUnsupported},
		{"a line to send", offer, 0, whip.ErrUnsupported},
		{"an inactive line", strings.ReplaceAll(watching, "sendrecv", "inactive"), 0, whip.ErrUnsupported},
		{"a data channel", watching + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n", 0, whip.ErrUnsupported},
		{"no mid", strings.ReplaceAll(watching, "a=mid:audio1\r\n", ""), 0, whip.ErrSyntax},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := whip.ReadOffer(whip.WHEP, tt.text)
			if !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) || len(o.Lines) != tt.lines {
				t.Fatalf("got %v, %v; want %d lines, %v", o.Lines, err, tt.lines, tt.err)
			}
			if err != nil {
				return
			}
			if n := strings.Count(o.SDP(), "a=recvonly\r\n"); n != tt.lines || strings.Contains(o.SDP(), "sendrecv") {
				t.Errorf("%d lines receive, want %d", n, tt.lines)
			}
			for _, l := range o.Lines {
				if l.Sends {
					t.Errorf("line %s sends", l.Mid)
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
			o, err := whip.ReadOffer(whip.WHIP, offer)
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
	f.Add(replace("a=sendonly", "a=recvonly"))
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range []whip.Protocol{whip.WHIP, whip.WHEP} {
			o, err := whip.ReadOffer(p, text)
			if err != nil {
				continue
			}
			// What was read reads the same again, and after a restart.
			for _, again := range []string{o.SDP(), o.Restarted(whip.Credentials{Ufrag: "efgh", Password: "b"}).SDP()} {
				if second, err := whip.ReadOffer(p, again); err != nil || !reflect.DeepEqual(second.Lines, o.Lines) {
					t.Fatalf("read again: %v, %v, want %v", second.Lines, err, o.Lines)
				}
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
