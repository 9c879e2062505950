package transport

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/sfu/codec"
)

// withRED is an offer of Chromium whose slots take RED too.
func withRED(t testing.TB) string {
	t.Helper()
	offer := chromium(t)
	offer = strings.ReplaceAll(offer, "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\n")
	return strings.ReplaceAll(offer, "a=rtpmap:111 opus/48000/2\r\n",
		"a=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n")
}

func TestAnswerRED(t *testing.T) {
	const opusOnly = "111"
	for _, tt := range []struct {
		name     string
		old, new string // in the offer's first m-line
		want     string // payload types in the answer's
	}{
		{"Opus preferred", "", "", "111 63"},
		{"RED preferred", "SAVPF 111 63", "SAVPF 63 111", "63 111"},
		{"of another codec", "a=fmtp:63 111/111", "a=fmtp:63 9/9", opusOnly},
		{"of two codecs", "a=fmtp:63 111/111", "a=fmtp:63 111/9", opusOnly},
		{"of one block", "a=fmtp:63 111/111", "a=fmtp:63 111", opusOnly},
		{"without parameters", "a=fmtp:63 111/111\r\n", "", opusOnly},
		{"of another clock", "a=rtpmap:63 red/48000/2", "a=rtpmap:63 red/8000", opusOnly},
	} {
		t.Run(tt.name, func(t *testing.T) {
			offer := chromium(t)
			if tt.old != "" {
				if !strings.Contains(offer, tt.old) {
					t.Fatalf("the offer has no %q", tt.old)
				}
				offer = strings.Replace(offer, tt.old, tt.new, 1)
			}
			c, _ := openConn(t, &recorder{})
			n, err := c.Answer(context.Background(), offer, anything)
			if err != nil {
				t.Fatal(err)
			}
			var d sdp.SessionDescription
			if err := d.UnmarshalString(n.SDP); err != nil {
				t.Fatal(err)
			}
			m := d.MediaDescriptions[0]
			if got := strings.Join(m.MediaName.Formats, " "); got != tt.want {
				t.Errorf("payload types %s, want %s", got, tt.want)
			}
			said := slices.ContainsFunc(m.Attributes, func(a sdp.Attribute) bool { return a.Key == "fmtp" && a.Value == "63 111/111" })
			if said != (tt.want != opusOnly) {
				t.Errorf("parameters of RED said: %t", said)
			}
			if n.Slots[0].TakesRED() {
				t.Error("a slot that was offered with Opus alone takes RED")
			}
		})
	}
}

func TestREDIsUndone(t *testing.T) {
	const mid = "0"
	at := func(seq uint16, pt byte, payload string) []byte {
		b := packet(pt, seq, payload, 4, mid)
		b[6], b[7] = byte(960*int(seq)>>8), byte(960*int(seq)&0xff)
		b[5] = byte(960 * int(seq) >> 16)
		return b
	}
	r := &recorder{}
	conn, _ := openConn(t, r)
	if _, err := conn.Answer(context.Background(), chromium(t), anything); err != nil {
		t.Fatal(err)
	}
	s := &stream{in: &conn.in, ssrc: 7}
	for _, b := range [][]byte{
		at(1, 111, "plain"),
		at(3, 63, "\xef\x0f\x00\x03\x6foldthis"), // 2 was lost
		at(4, 63, "\xef\x0f\x00\x03\x6fhadthat"),
		at(5, 63, "\xef\x0f\x00\x30\x6fcut"),
		at(6, 63, ""),
		at(7, 63, "\x6falone"),
	} {
		s.take(time.Now(), b)
	}
	want := []string{
		"opus seq 1 payload 5 repaired false",
		"opus seq 2 payload 3 repaired true", "opus seq 3 payload 4 repaired false",
		"opus seq 4 payload 4 repaired false",
		"opus seq 6 payload 0 repaired false",
		"opus seq 7 payload 5 repaired false",
	}
	if !slices.Equal(r.packets, want) {
		t.Errorf("got %q, want %q", r.packets, want)
	}
}

func TestSlotSendsRED(t *testing.T) {
	c, _ := openConn(t, &recorder{})
	n, err := c.Answer(context.Background(), withRED(t), anything)
	if err != nil {
		t.Fatal(err)
	}
	slot := n.Slots[0]
	if slot.Kind != codec.Audio || !slot.TakesRED() || n.Slots[2].TakesRED() {
		t.Fatalf("audio slot takes RED %t, video slot %t", slot.TakesRED(), n.Slots[2].TakesRED())
	}
	payload := codec.AppendRED(nil, []codec.Block{{Offset: 960, Payload: []byte("old")}}, []byte("new"))
	if err := slot.Write(Outgoing{Codec: codec.Opus, Seq: 5, Blocks: 1}, payload); err != nil {
		t.Fatal(err)
	}
	if slot.media.payloadType != 63 || string(payload) != "\xef\x0f\x00\x03\x6foldnew" {
		t.Errorf("type %d, payload %q", slot.media.payloadType, payload)
	}
	if err := slot.Write(Outgoing{Codec: codec.Opus, Seq: 6}, []byte("new")); err != nil || slot.media.payloadType != 111 {
		t.Errorf("then type %d: %v", slot.media.payloadType, err)
	}
}
