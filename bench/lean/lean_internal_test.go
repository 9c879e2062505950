package lean

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/stun/v4"
)

// The tests of this file look inside: what they step is pure and not exported.

func epoch() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) }

func at(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// answered is what a lite server with two addresses answers.
func answered() *Answer {
	return &Answer{ufrag: "serv", password: "server-password-22-bytes", candidates: []netip.AddrPort{at("10.0.0.1:8443"), at("10.0.0.2:8443")}}
}

func newAgent() *agent {
	return &agent{ufrag: "mine", password: "client-password-22-bytes", tiebreaker: 7}
}

// respond is what the server makes of a check.
func respond(t *testing.T, check datagram, password string) []byte {
	t.Helper()
	m := stun.New()
	if err := stun.Decode(check.b, m); err != nil {
		t.Fatal(err)
	}
	if err := stun.NewShortTermIntegrity("server-password-22-bytes").Check(m); err != nil {
		t.Fatal(err)
	}
	var user stun.Username
	if err := user.GetFrom(m); err != nil || user.String() != "serv:mine" || !m.Contains(stun.AttrUseCandidate) {
		t.Fatalf("a check by %q", user)
	}
	out, err := stun.Build(m, stun.BindingSuccess, stun.NewShortTermIntegrity(password), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return out.Raw
}

func TestChecksAreRepeatedUntilOneIsAnswered(t *testing.T) {
	a, now := newAgent(), epoch()
	a.start(now, answered())
	var sent []datagram
	for _, want := range []struct {
		after time.Duration
		count int
	}{{0, 2}, {49 * time.Millisecond, 2}, {50 * time.Millisecond, 4}, {150 * time.Millisecond, 6}, {349 * time.Millisecond, 6}, {350 * time.Millisecond, 8}} {
		checks, _ := a.tick(now.Add(want.after))
		if sent = append(sent, checks...); len(sent) != want.count {
			t.Fatalf("after %v there were %d checks, want %d", want.after, len(sent), want.count)
		}
	}
	now = now.Add(400 * time.Millisecond)
	for _, tt := range []struct {
		name  string
		reply []byte
		from  netip.AddrPort
	}{
		{"of somebody without the password", respond(t, sent[1], "another-password-of-22-by"), sent[1].to},
		{"from another address", respond(t, sent[1], "server-password-22-bytes"), at("10.0.0.3:8443")},
		{"to nothing that was asked", respond(t, datagram{b: build(t)}, "server-password-22-bytes"), sent[1].to},
	} {
		a.handle(now, tt.reply, tt.from)
		if a.selected.IsValid() {
			t.Errorf("an answer %s was taken", tt.name)
		}
	}
	a.handle(now, respond(t, sent[1], "server-password-22-bytes"), sent[1].to)
	if a.rtt != 400*time.Millisecond { // the second check of the first two
		t.Errorf("a round trip of %v", a.rtt)
	}
	if a.selected != sent[1].to {
		t.Fatalf("selected %v", a.selected)
	}
	if checks, due := a.tick(now); len(checks) != 0 || !due.Equal(now.Add(consentInterval)) {
		t.Errorf("%d checks when connected, the next at %v", len(checks), due)
	}
}

// build is a check that the agent never sent.
func build(t *testing.T) []byte {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername("serv:mine"), useCandidate{},
		stun.NewShortTermIntegrity("server-password-22-bytes"), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func TestConsent(t *testing.T) {
	a, now := newAgent(), epoch()
	a.start(now, answered())
	checks, _ := a.tick(now)
	a.handle(now, respond(t, checks[0], "server-password-22-bytes"), checks[0].to)
	for i := range 4 { // answered
		now = now.Add(consentInterval)
		checks, _ := a.tick(now)
		if len(checks) != 1 {
			t.Fatalf("check %d: %d datagrams", i, len(checks))
		}
		a.handle(now, respond(t, checks[0], "server-password-22-bytes"), checks[0].to)
	}
	silence := now
	for !a.expired {
		now = now.Add(time.Second)
		a.tick(now)
	}
	if got := now.Sub(silence); got != consentExpiry {
		t.Errorf("given up after %v", got)
	}
	if checks, _ := a.tick(now.Add(time.Minute)); len(checks) != 0 {
		t.Error("checked without consent")
	}
}

func TestAFullPeerIsAnswered(t *testing.T) {
	a := newAgent()
	a.start(epoch(), answered())
	for _, tt := range []struct {
		name, user, password string
		want                 bool
	}{
		{"as it should", "mine:serv", "client-password-22-bytes", true},
		{"another user", "mine:else", "client-password-22-bytes", false},
		{"another password", "mine:serv", "another-password-22-bytes", false},
	} {
		m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(tt.user),
			stun.NewShortTermIntegrity(tt.password), stun.Fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		reply := a.handle(epoch(), m.Raw, at("10.0.0.1:8443"))
		if (reply != nil) != tt.want {
			t.Errorf("%s: answer %x", tt.name, reply)
		}
		if reply == nil {
			continue
		}
		got := stun.New()
		var mapped stun.XORMappedAddress
		if err := stun.Decode(reply, got); err != nil || mapped.GetFrom(got) != nil || mapped.String() != "10.0.0.1:8443" || got.TransactionID != m.TransactionID {
			t.Errorf("%s: answered %v, %v", tt.name, mapped, err)
		}
	}
}

func TestReceiverReport(t *testing.T) {
	r := &reception{ssrc: 9, clockRate: 90000}
	// Two hundred packets each 10 ms, every tenth lost, the numbers wrap.
	for i := range 200 {
		if i%10 != 9 {
			r.packet(time.Duration(i)*10*time.Millisecond, uint16(65500+i), uint32(i*900))
		}
	}
	r.sender(epoch(), &rtcp.SenderReport{SSRC: 9, NTPTime: 0x0123456789abcdef})
	got := r.report(epoch().Add(500 * time.Millisecond))
	want := rtcp.ReceptionReport{
		SSRC: 9, FractionLost: 19 * 256 / 199, TotalLost: 19, LastSequenceNumber: 65500 + 198, LastSenderReport: 0x456789ab, Delay: 32768,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if again := r.report(epoch().Add(time.Second)); again.FractionLost != 0 || again.TotalLost != 19 {
		t.Errorf("an interval without packets: %+v", again)
	}
	// 5 ms of delay more or less with each packet is a jitter that nears 5 ms.
	for i := range 400 {
		r.packet(2*time.Second+time.Duration(i)*10*time.Millisecond+time.Duration(i%2)*5*time.Millisecond, uint16(65700+i), uint32((200+i)*900))
	}
	if got := r.report(epoch()).Jitter; got < 440 || got > 460 {
		t.Errorf("jitter %d, want 450 ticks", got)
	}
}

const answerText = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:SHA-256 ab:CD\r\na=ice-lite\r\na=group:BUNDLE 0 1 2\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=setup:passive\r\na=mid:0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n" +
	"a=rtpmap:111 opus/48000/2\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=extmap:3/recvonly urn:ietf:params:rtp-hdrext:sdes:mid\r\na=recvonly\r\n" +
	"a=candidate:1 1 udp 2130706431 10.0.0.1 8443 typ host\r\na=candidate:1 2 udp 2130706431 10.0.0.1 8444 typ host\r\n" +
	"a=candidate:2 1 tcp 1 10.0.0.1 9 typ host\r\na=candidate:3 1 UDP 1 fd00::1 8443 typ host\r\na=candidate:4 1 udp 1 x.local 8443 typ host\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n" +
	"a=ssrc-group:FID 11 12\r\na=ssrc:11 cname:x\r\na=ssrc:12 cname:x\r\na=msid:doctor camera\r\na=sendonly\r\n" +
	"m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\n"

func TestParseAnswer(t *testing.T) {
	a, err := ParseAnswer(answerText)
	if err != nil {
		t.Fatal(err)
	}
	if a.ufrag != "u" || a.password != "p" || a.fingerprint != "sha-256 AB:CD" || a.active {
		t.Errorf("transport %+v", a)
	}
	if len(a.candidates) != 2 || a.candidates[0] != at("10.0.0.1:8443") || a.candidates[1] != at("[fd00::1]:8443") {
		t.Errorf("candidates %v", a.candidates)
	}
	want := []AnswerLine{
		{Mid: "0", PT: 111, IDs: Extensions{MID: 3, AudioLevel: 1}},
		{Mid: "1", PT: 96, RTXPT: 97, SSRC: 11, RTX: 12, Stream: "doctor", Track: "camera"},
		{Mid: "2", Rejected: true},
	}
	if len(a.Lines) != len(want) {
		t.Fatalf("%d lines", len(a.Lines))
	}
	for i, l := range a.Lines {
		if l != want[i] {
			t.Errorf("line %d: got %+v, want %+v", i, l, want[i])
		}
	}
	for _, tt := range []struct{ name, text string }{
		{"nothing", ""},
		{"no fingerprint", strings.Replace(answerText, "a=fingerprint:SHA-256 ab:CD\r\n", "", 1)},
		{"another hash", strings.Replace(answerText, "SHA-256", "sha-1", 1)},
		{"no password", strings.Replace(answerText, "a=ice-pwd:p\r\n", "", 1)},
		{"too large", answerText + strings.Repeat("a=x\r\n", 60_000)},
	} {
		if _, err := ParseAnswer(tt.text); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(answerText)
	f.Add(strings.ReplaceAll(answerText, "\r\n", "\n"))
	f.Add("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ssrc-group:FID 1\r\na=fmtp:300 apt=96\r\na=extmap:0 x\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAnswer(text)
		if err != nil {
			return
		}
		if a.ufrag == "" || a.password == "" || a.fingerprint == "" || len(a.candidates) > maxCandidates {
			t.Errorf("accepted %+v", a)
		}
		for _, l := range a.Lines {
			for _, id := range []uint8{l.IDs.MID, l.IDs.RID, l.IDs.RepairedRID, l.IDs.TransportCC, l.IDs.AudioLevel} {
				if id > 14 {
					t.Errorf("extension id %d", id)
				}
			}
		}
	})
}

func FuzzSTUN(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte{1, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 8, 0, 4, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		a := newAgent()
		a.start(epoch(), answered())
		a.tick(epoch())
		if reply := a.handle(epoch(), b, at("10.0.0.1:8443")); reply != nil || a.selected.IsValid() {
			t.Error("what nobody could sign was believed")
		}
	})
}
