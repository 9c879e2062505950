package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/port"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// nowhere is a Port that nothing comes from.
type nowhere struct {
	mu     sync.Mutex
	agents map[string]string // passwords by ufrag
	sent   [][]byte
}

func newNowhere() *nowhere { return &nowhere{agents: map[string]string{}} }

func (n *nowhere) Open(ufrag, password string, _ port.Receiver) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.agents[ufrag] = password
	return nil
}

func (n *nowhere) Forget(ufrag string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.agents, ufrag)
}

func (n *nowhere) Write(b []byte, _ netip.AddrPort) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent = append(n.sent, slices.Clone(b))
	return nil
}

// recorder is a Handler and a Sink that writes down what it is told.
type recorder struct {
	opened  []string
	packets []string
	tooMany int
	waits   int
	flushed int
	refuse  bool
}

func (r *recorder) Open(mid, rid string) Sink {
	r.opened = append(r.opened, mid+"/"+rid)
	if r.refuse {
		return nil
	}
	return r
}
func (r *recorder) RTP(_ time.Time, c codec.Name, p *codec.Packet, repaired bool) {
	r.packets = append(r.packets, fmt.Sprint(c, " seq ", p.Seq, " payload ", len(p.Payload), " repaired ", repaired))
}
func (r *recorder) Flush() { r.flushed++ }
func (r *recorder) Feedback(time.Time, *twcc.Feedback) {
	r.packets = append(r.packets, "feedback")
}
func (r *recorder) RTCP(time.Time, rtcp.Packet) { r.packets = append(r.packets, "rtcp") }
func (r *recorder) StateChanged()               {}
func (r *recorder) TooManyStreams()             { r.tooMany++ }
func (r *recorder) Waits()                      { r.waits++ }

func openConn(t testing.TB, h Handler) (*Conn, *nowhere) {
	t.Helper()
	p := newNowhere()
	e, err := NewEngine(Options{
		Port: p, Clock: time.Now, Rand: rand.Reader,
		Advertise:    []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8443"), netip.MustParseAddrPort("[2001:db8::1]:8443")},
		AdvertiseTCP: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("[2001:db8::1]:443")},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, p
}

func anything([]MLine) error { return nil }

func TestAnswerToChromium(t *testing.T) {
	c, p := openConn(t, &recorder{})
	n, err := c.Answer(context.Background(), chromium(t), anything)
	if err != nil {
		t.Fatal(err)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(n.SDP); err != nil {
		t.Fatal(err)
	}
	if len(d.MediaDescriptions) != 8 {
		t.Fatalf("%d m-lines, want 8", len(d.MediaDescriptions))
	}
	for i, m := range d.MediaDescriptions {
		want := "recvonly"
		if i >= 3 {
			want = "sendonly"
		}
		if _, ok := m.Attribute(want); !ok {
			t.Errorf("m-line %d is not %s", i+1, want)
		}
		if v, _ := m.Attribute("setup"); v != "passive" {
			t.Errorf("m-line %d: setup %s, want passive: as DTLS client the server would not choose the cipher", i+1, v)
		}
		sendTime := slices.ContainsFunc(m.Attributes, func(a sdp.Attribute) bool { return a.Key == "extmap" && strings.HasSuffix(a.Value, "abs-send-time") })
		if sendTime != (i == 0) {
			t.Errorf("m-line %d: abs-send-time %t; it is for the voice alone", i+1, sendTime)
		}
	}
	if _, ok := d.Attribute("ice-lite"); !ok {
		t.Error("not ICE-lite")
	}
	if v, _ := d.MediaDescriptions[1].Attribute("simulcast"); v != "recv q;h;f" {
		t.Errorf("camera: simulcast %q, want \"recv q;h;f\"", v)
	}
	if n.SendTimeID != 2 {
		t.Errorf("abs-send-time has number %d, want 2", n.SendTimeID)
	}
	if len(p.agents) != 1 {
		t.Errorf("the port was told %d passwords, want 1", len(p.agents))
	}
}

func TestAnswerNamesTheAdvertisedAddresses(t *testing.T) {
	c, _ := openConn(t, &recorder{})
	n, err := c.Answer(context.Background(), chromium(t), anything)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(n.SDP) {
		if strings.Contains(line, "candidate") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		"a=candidate:1 1 udp 2130706431 192.0.2.1 8443 typ host",
		"a=candidate:2 1 udp 2130706175 2001:db8::1 8443 typ host",
		"a=candidate:3 1 tcp 1520435199 192.0.2.1 443 typ host tcptype passive",
		"a=candidate:4 1 tcp 1520434943 2001:db8::1 443 typ host tcptype passive",
		"a=end-of-candidates",
	}
	if !slices.Equal(got, want) {
		t.Errorf("candidates %q, want %q", got, want)
	}
}

// Audio slot i and video slot i share a stream id, so that browsers play them in step.
func TestSlotsOfOneIndexShareAStream(t *testing.T) {
	c, _ := openConn(t, &recorder{})
	n, err := c.Answer(context.Background(), chromium(t), anything)
	if err != nil {
		t.Fatal(err)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(n.SDP); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range d.MediaDescriptions[3:] {
		v, _ := m.Attribute("msid")
		got = append(got, v)
	}
	want := []string{"slot0 audio0", "slot1 audio1", "slot0 video0", "slot1 video1", "slot2 video2"}
	if !slices.Equal(got, want) {
		t.Errorf("msid %q, want %q", got, want)
	}
	for i, s := range n.Slots {
		if s.SSRC() == 0 || !s.Takes(codec.Opus) && !s.Takes(codec.VP8) {
			t.Errorf("slot %d is not bound", i)
		}
	}
}

// More slots, asked for later: those there are keep their SSRC, which browsers insist on.
func TestSecondOfferKeepsSlots(t *testing.T) {
	c, _ := openConn(t, &recorder{})
	first, err := c.Answer(context.Background(), chromium(t), anything)
	if err != nil {
		t.Fatal(err)
	}
	ssrcs := make([]uint32, len(first.Slots))
	for i, s := range first.Slots {
		ssrcs[i] = s.SSRC()
	}
	last := chromium(t)[strings.LastIndex(chromium(t), "m=video"):]
	more := strings.Replace(chromium(t)+strings.Replace(last, "a=mid:7", "a=mid:8", 1), "BUNDLE 0 1 2 3 4 5 6 7", "BUNDLE 0 1 2 3 4 5 6 7 8", 1)
	second, err := c.Answer(context.Background(), more, anything)
	if err != nil {
		t.Fatal(err)
	}
	if len(second.Slots) != len(first.Slots)+1 {
		t.Fatalf("%d slots, want %d", len(second.Slots), len(first.Slots)+1)
	}
	for i, s := range first.Slots {
		if second.Slots[i] != s || s.SSRC() != ssrcs[i] {
			t.Errorf("slot %d has changed", i)
		}
	}
	if s := second.Slots[len(first.Slots)]; s.SSRC() == 0 || slices.Contains(ssrcs, s.SSRC()) {
		t.Error("the new slot has no SSRC of its own")
	}
}

func TestCheckIsAskedBeforeAnythingHappens(t *testing.T) {
	c, p := openConn(t, &recorder{})
	no := errors.New("no")
	if _, err := c.Answer(context.Background(), chromium(t), func([]MLine) error { return no }); !errors.Is(err, no) {
		t.Errorf("%v, want the check's own error", err)
	}
	if len(p.agents) != 0 {
		t.Error("the port heard of a refused offer")
	}
	if _, err := c.Answer(context.Background(), chromium(t), anything); err != nil {
		t.Errorf("a good offer after a refused one: %v", err)
	}
}

// packet is one RTP packet with one-byte header extensions, given as id and content.
func packet(pt byte, seq uint16, payload string, extensions ...any) []byte {
	b := []byte{0x90, pt, byte(seq >> 8), byte(seq), 0, 0, 0, 1, 0, 0, 0, 7, 0xBE, 0xDE, 0, 0}
	for i := 0; i < len(extensions); i += 2 {
		content := extensions[i+1].(string)
		b = append(b, byte(extensions[i].(int))<<4|byte(len(content)-1))
		b = append(b, content...)
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	b[15] = byte((len(b) - 16) / 4)
	return append(b, payload...)
}

// vp8 is a payload: start of a key frame.
const vp8 = "\x10\x00\x00\x00\x9d\x01\x2a"

// In chromium156.sdp, and so in the answer: MID 4, RID 10, repaired RID 11; VP8 96, its RTX 97.
func TestStreamsFindTheirEncoding(t *testing.T) {
	for _, c := range []struct {
		name    string
		packets [][]byte
		opened  []string
		got     []string
	}{
		{
			"simulcast by MID and RID",
			[][]byte{packet(96, 1, vp8, 4, "1", 10, "h"), packet(96, 2, vp8)},
			[]string{"1/h"}, []string{"VP8 seq 1 payload 7 repaired false", "VP8 seq 2 payload 7 repaired false"},
		},
		{
			"RTX by repaired RID, original sequence number restored",
			[][]byte{packet(97, 900, "\x00\x05"+vp8, 4, "1", 11, "h")},
			[]string{"1/h"}, []string{"VP8 seq 5 payload 7 repaired true"},
		},
		{
			"RTX without a payload is padding",
			[][]byte{packet(97, 900, "", 4, "1", 11, "h"), packet(97, 901, "\x00", 4, "1", 11, "h")},
			[]string{"1/h"}, nil,
		},
		{"simulcast without RID is nobody's yet", [][]byte{packet(96, 1, vp8, 4, "1")}, nil, nil},
		{"unknown MID", [][]byte{packet(96, 1, vp8, 4, "9", 10, "h")}, nil, nil},
		{"a slot's MID", [][]byte{packet(96, 1, vp8, 4, "5", 10, "h")}, nil, nil},
		{"no MID at all", [][]byte{packet(96, 1, vp8)}, nil, nil},
		{"unknown payload type", [][]byte{packet(50, 1, vp8, 4, "1", 10, "q")}, []string{"1/q"}, nil},
		{"not RTP", [][]byte{[]byte("hello"), {}, {0x80}}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{}
			conn, _ := openConn(t, r)
			if _, err := conn.Answer(context.Background(), chromium(t), anything); err != nil {
				t.Fatal(err)
			}
			s := &stream{in: &conn.in, ssrc: 7}
			for _, b := range c.packets {
				s.take(time.Now(), b)
			}
			if !slices.Equal(r.opened, c.opened) || !slices.Equal(r.packets, c.got) {
				t.Errorf("opened %q and got %q, want %q and %q", r.opened, r.packets, c.opened, c.got)
			}
		})
	}
}

func BenchmarkAnswer(b *testing.B) {
	offer := chromium(b)
	e, err := NewEngine(Options{Port: newNowhere(), Clock: time.Now, Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c, err := e.Open(&recorder{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Answer(context.Background(), offer, anything); err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
	}
}
