package transport

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/sfu/codec"
)

// chromium is the offer of bedside.js in Chromium 156: microphone, camera with three encodings,
// screen, two audio and three video slots.
func chromium(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/chromium156.sdp")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// prefer is the order of an engine whose room has this video codec.
func prefer(video codec.Name) func(codec.Kind) []codec.Name {
	return (&Engine{o: Options{H264: video == codec.H264}}).preferred
}

func TestParseOfferOfChromium(t *testing.T) {
	o, err := parseOffer(chromium(t), prefer(codec.VP8))
	if err != nil {
		t.Fatal(err)
	}
	want := []MLine{
		{Mid: "0", Kind: codec.Audio, Sends: true},
		{Mid: "1", Kind: codec.Video, Sends: true, Bounded: true},
		{Mid: "2", Kind: codec.Video, Sends: true, Bounded: true},
		{Mid: "3", Kind: codec.Audio, Slot: true},
		{Mid: "4", Kind: codec.Audio, Slot: true},
		{Mid: "5", Kind: codec.Video, Slot: true},
		{Mid: "6", Kind: codec.Video, Slot: true},
		{Mid: "7", Kind: codec.Video, Slot: true},
	}
	if len(o.lines) != len(want) {
		t.Fatalf("%d m-lines, want %d", len(o.lines), len(want))
	}
	for i := range want {
		if o.lines[i].MLine != want[i] {
			t.Errorf("m-line %d: %+v, want %+v", i+1, o.lines[i].MLine, want[i])
		}
	}
	// Chromium declares the SSRC of what is not simulcast: the microphone, and the screen with RTX.
	if len(o.ssrcs) != 3 {
		t.Errorf("%d SSRCs, want 3", len(o.ssrcs))
	}
	if len(o.fingerprints) != 1 {
		t.Errorf("fingerprints %q, want one", o.fingerprints)
	}
}

func TestParseOfferRefuses(t *testing.T) {
	good := chromium(t)
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the offer has no %q", old)
		}
		return strings.ReplaceAll(good, old, new)
	}
	withoutLines := func(prefix string) string {
		var b strings.Builder
		for line := range strings.Lines(good) {
			if !strings.HasPrefix(line, prefix) {
				b.WriteString(line)
			}
		}
		return b.String()
	}
	many := func(n int) string {
		header, media, _ := strings.Cut(good, "m=audio")
		return header + strings.Repeat("m=audio"+media[:strings.Index(media, "m=")], n)
	}
	for _, c := range []struct {
		name, sdp, says string
	}{
		{"empty", "", "BUNDLE"},
		{"not SDP", "hello", "not valid SDP"},
		{"10 MB", strings.Repeat("a=x\r\n", 2<<20), "larger than"},
		{"300 m-lines", many(300)[:maxOfferBytes-1], "more than 40 m-lines"},
		{"a line of 5 kB", replace("a=msid-semantic: WMS", "a=x:"+strings.Repeat("x", 5<<10)), "a line is longer"},
		{"100 formats on one line", replace("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio 9 UDP/TLS/RTP/SAVPF "+strings.Repeat("111 ", 100)), "formats"},
		{"200 a=ssrc lines", replace("a=mid:0\r\n", "a=mid:0\r\n"+strings.Repeat("a=ssrc:1 cname:x\r\n", 200)), "a=ssrc"},
		{"no fingerprint", withoutLines("a=fingerprint"), "a=fingerprint"},
		{"RTP/AVP", replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "UDP/TLS/RTP/SAVPF"},
		{"no BUNDLE", withoutLines("a=group"), "BUNDLE"},
		{"a mid outside of BUNDLE", replace("BUNDLE 0 1 2 3 4 5 6 7", "BUNDLE 0 1 2 3 4 5 6"), "m-line 8: not in the BUNDLE group"},
		{"duplicate mid", replace("a=mid:1\r\n", "a=mid:0\r\n"), "m-line 2: a=mid of another m-line"},
		{"no mid", withoutLines("a=mid:3"), "m-line 4: needs a=mid"},
		{"a mid of 40 characters", replace("a=mid:0\r\n", "a=mid:"+strings.Repeat("0", 40)+"\r\n"), "m-line 1: needs a=mid"},
		{"ufrag of two characters", replace("a=ice-ufrag:9uUl", "a=ice-ufrag:9u"), "a=ice-ufrag"},
		{"no rtcp-mux", withoutLines("a=rtcp-mux"), "a=rtcp-mux"},
		{"passive", replace("a=setup:actpass", "a=setup:passive"), "a=setup"},
		{"sendrecv", replace("a=sendonly", "a=sendrecv"), "must be sendonly or recvonly"},
		{"data channel", good + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:8\r\n", "data channels"},
		{"text", replace("m=audio", "m=text"), "neither audio nor video"},
		{"no m-lines", good[:strings.Index(good, "m=")], "no m-lines"},
		{"300 short m-lines", good + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", 300), "more than 40 m-lines"},
		{"300 m-lines behind CR alone", good + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r", 300), "a line is longer"},
		{"a mid with a line end in it", replace("a=mid:0\r\n", "a=mid:0\ra=mid:9\r\n"), ""},
		{"a candidate behind CR alone", replace("a=mid:0\r\n", "a=mid:0\ra=candidate:1 1 udp 1 10.0.0.1 22 typ host\r\n"), ""},
		{"NUL", replace("a=mid:0\r\n", "a=mid:0\x00\r\n"), ""},
		{"a second session", good + "v=0\r\n", "not valid SDP"},
		{"spaces before the lines", replace("a=", " a="), "not valid SDP"},
		{"a ufrag of 257 characters", replace("a=ice-ufrag:9uUl", "a=ice-ufrag:"+strings.Repeat("9", 257)), "a=ice-ufrag"},
		{"a password of 21 characters", replace("a=ice-pwd:", "a=x:"), "a=ice-pwd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseOffer(c.sdp, prefer(codec.VP8))
			if !errors.Is(err, ErrOffer) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v, want ErrOffer saying %q", err, c.says)
			}
		})
	}
	if _, err := parseOffer(good, prefer(codec.VP8)); err != nil {
		t.Errorf("the offer that all of these derive from: %v", err)
	}
}

func TestParseOfferWantsTheCodecOfTheRoom(t *testing.T) {
	good := chromium(t)
	for _, c := range []struct {
		name, without string
		video         codec.Name
	}{
		{"VP8", "a=rtpmap:96 VP8", codec.VP8},
		{"H.264", "a=rtpmap:108 H264", codec.H264},
		{"Opus", "a=rtpmap:111 opus", codec.VP8},
	} {
		if _, err := parseOffer(good, prefer(c.video)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		_, err := parseOffer(strings.ReplaceAll(good, c.without, "a=rtpmap:99 other"), prefer(c.video))
		if !errors.Is(err, ErrCodec) {
			t.Errorf("without %s: %v, want ErrCodec", c.name, err)
		}
	}
}

func TestParseOfferRefusesFast(t *testing.T) {
	huge := strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", 300_000)
	allocs := testing.AllocsPerRun(10, func() { _, _ = parseOffer(huge, prefer(codec.VP8)) })
	// It takes 2. Connections that other tests have just closed allocate, too; parsing the offer
	// would take more than a million.
	if allocs > 1000 {
		t.Errorf("%v allocations to refuse 10 MB, want next to none", allocs)
	}
}

// BenchmarkRefuseOffer is what a stranger in the lobby can make the server work with one offer: each of
// these is to be refused within 5 ms.
func BenchmarkRefuseOffer(b *testing.B) {
	good := chromium(b)
	line := "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
	header, media, _ := strings.Cut(good, "m=audio")
	audio := "m=audio" + media[:strings.Index(media, "m=")]
	forty := header + strings.Repeat(audio, 40)
	for _, bb := range []struct{ name, sdp string }{
		{"10 MB", strings.Repeat("a=x\r\n", 2<<20)},
		{"300 m-lines", good + strings.Repeat(line, 300)},
		{"40 m-lines of one mid", forty},
		{"128 KiB of candidates", good + strings.Repeat("a=candidate:1 1 udp 2130706431 10.0.0.1 22 typ host\r\n", 1800) + "x\r\n"},
		{"128 KiB of attributes", good + strings.Repeat("a=x\r\n", (maxOfferBytes-len(good)-10)/5) + "x\r\n"},
		{"no fingerprint", strings.ReplaceAll(good, "a=fingerprint", "a=x")},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parseOffer(bb.sdp, prefer(codec.VP8)); !errors.Is(err, ErrOffer) {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzOffer: no offer panics, and what is accepted keeps the promises that the rest relies on.
func FuzzOffer(f *testing.F) {
	good := chromium(f)
	f.Add(good)
	f.Add("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n")
	f.Add(strings.ReplaceAll(good, "sendonly", "recvonly"))
	f.Add(strings.ReplaceAll(good, "\r\n", "\n"))
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOffer(text, prefer(codec.VP8))
		if err != nil {
			if !errors.Is(err, ErrOffer) && !errors.Is(err, ErrCodec) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		mids := map[string]bool{}
		for _, l := range o.lines {
			if l.Mid == "" || mids[l.Mid] || l.Kind == 0 {
				t.Fatalf("accepted %+v", l)
			}
			mids[l.Mid] = true
		}
		checkAnswer(t, o)
	})
}

// checkAnswer wants the answer to an accepted offer to be SDP with the same m-lines, and to repeat no
// text of the client's but its mids and RIDs.
func checkAnswer(t *testing.T, o *offer) {
	t.Helper()
	c := &Conn{engine: &Engine{}}
	c.negotiation.current, c.negotiation.ssrcs = &generation{ufrag: "ufrag", password: "password"}, map[uint32]bool{}
	c.engine.o.Rand = rand.Reader
	if err := c.addSlots(o); err != nil {
		t.Fatal(err)
	}
	o.negotiated()
	var d sdp.SessionDescription
	if err := d.UnmarshalString(c.writeAnswer(o)); err != nil || len(d.MediaDescriptions) != len(o.lines) {
		t.Fatalf("answered with %d m-lines to %d: %v", len(d.MediaDescriptions), len(o.lines), err)
	}
	for i, m := range d.MediaDescriptions {
		if mid, _ := m.Attribute("mid"); mid != o.lines[i].Mid || len(m.MediaName.Formats) == 0 {
			t.Fatalf("m-line %d: %v", i+1, m)
		}
	}
}

func TestAnswerH264(t *testing.T) {
	const ours = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="
	for _, c := range []struct{ offered, want string }{
		{"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", ours + "42e01f"},
		{"packetization-mode=1; profile-level-id=42C014", ours + "42c014"},
		{"packetization-mode=1", ours + "42e01f"},
		{"profile-level-id=42e01f", ""},
		{"packetization-mode=0;profile-level-id=42e01f", ""},
		{"packetization-mode=1;profile-level-id=640c1f", ""},
		{"packetization-mode=1;profile-level-id=42\"x01", ""},
		{"", ""},
	} {
		if got := answerH264(c.offered); got != c.want {
			t.Errorf("%q is answered by %q, want %q", c.offered, got, c.want)
		}
	}
}

func TestSimulcastOf(t *testing.T) {
	for _, c := range []struct {
		value string
		want  []string
	}{
		{"send q;h;f", []string{"q", "h", "f"}},
		{"send ~q;h,x;f", []string{"q", "h", "f"}},
		{"send q;q;h", []string{"q", "h"}},
		{"send 1;2;3;4", []string{"1", "2", "3"}},
		{"send " + strings.Repeat("x", 17) + ";y z;", nil},
		{"recv q;h", nil},
		{"", nil},
	} {
		m := &sdp.MediaDescription{Attributes: []sdp.Attribute{{Key: "simulcast", Value: c.value}}}
		if got := simulcastOf(m); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.value, got, c.want)
		}
	}
}
