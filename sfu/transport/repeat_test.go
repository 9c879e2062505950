package transport

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/sfu/codec"
)

// repeating is an offer of Chromium through bedside.js, which asks for audio that is lost.
func repeating(t testing.TB) string {
	t.Helper()
	return strings.ReplaceAll(chromium(t), "a=rtpmap:111 opus/48000/2\r\n", "a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\n")
}

func TestAnswerToWhoAsksForAudio(t *testing.T) {
	for _, tt := range []struct {
		name, offer string
		want        bool
	}{
		{"nothing offered", chromium(t), false},
		{"for Opus", repeating(t), true},
		{"for all", strings.ReplaceAll(chromium(t), "a=rtpmap:111 ", "a=rtcp-fb:* nack\r\na=rtpmap:111 "), true},
		{"pictures alone", strings.ReplaceAll(chromium(t), "a=rtpmap:111 ", "a=rtcp-fb:111 nack pli\r\na=rtpmap:111 "), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := openConn(t, &recorder{})
			n, err := c.Answer(context.Background(), tt.offer, anything)
			if err != nil {
				t.Fatal(err)
			}
			var d sdp.SessionDescription
			if err := d.UnmarshalString(n.SDP); err != nil {
				t.Fatal(err)
			}
			for i, m := range d.MediaDescriptions {
				said := slices.ContainsFunc(m.Attributes, func(a sdp.Attribute) bool { return a.Key == "rtcp-fb" && a.Value == "111 nack" })
				if audio := m.MediaName.Media == "audio"; said != (audio && tt.want) {
					t.Errorf("m-line %d (%s): said %t", i, m.MediaName.Media, said)
				}
			}
			for _, l := range n.Sends {
				if l.Repeats != (l.Kind == codec.Audio && tt.want) {
					t.Errorf("%+v", l)
				}
			}
			for _, s := range n.Slots {
				if s.Repeats() != (s.Kind == codec.Audio && tt.want) {
					t.Errorf("slot %s (%s) repeats %t", s.Mid, s.Kind, s.Repeats())
				}
			}
		})
	}
}

// What is sent again is the very datagram: anything else under one nonce would give the key of GCM's tag
// away.
func TestRepeat(t *testing.T) {
	e := establish(t, &recorder{})
	if _, err := e.Answer(context.Background(), repeating(t), anything); err != nil {
		t.Fatal(err)
	}
	slot := e.negotiation.slots[0]
	const n = keptPackets + 8
	for seq := range uint16(n) {
		if err := slot.Write(Outgoing{Codec: codec.Opus, Seq: seq, Timestamp: 960 * uint32(seq)}, []byte{'a' + byte(seq), 'b'}); err != nil {
			t.Fatal(err)
		}
	}
	before := e.out.bytes
	now := e.engine.o.Clock()
	for _, tt := range []struct {
		name string
		seq  uint16
		now  time.Time
		want bool
	}{
		{"the last", n - 1, now, true},
		{"once more", n - 1, now, true},
		{"the oldest that is kept", n - keptPackets, now, true},
		{"one that is forgotten", n - keptPackets - 1, now, false},
		{"one to come", n, now, false},
		{"one too old", n - 2, now.Add(time.Second), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := len(e.port.sent)
			size := slot.Repeat(tt.now, tt.seq, 400*time.Millisecond)
			if (size > 0) != tt.want || (len(e.port.sent) > sent) != tt.want {
				t.Fatalf("%d bytes, %d datagrams", size, len(e.port.sent)-sent)
			}
			if tt.want && (!bytes.Equal(e.port.sent[sent], e.port.sent[tt.seq]) || size != len(e.port.sent[sent])+ipOverhead) {
				t.Errorf("%d bytes, not as it was", size)
			}
		})
	}
	if got, want := e.out.bytes-before, 3*uint64(len(e.port.sent[0])+ipOverhead); got != want {
		t.Errorf("%d bytes counted, want %d", got, want)
	}
	plain := e.negotiation.slots[2]
	if err := plain.Write(Outgoing{Codec: codec.VP8, Seq: 1}, []byte(vp8)); err != nil {
		t.Fatal(err)
	}
	if plain.Repeat(now, 1, time.Second) != 0 || plain.kept != nil {
		t.Error("a packet of video is kept")
	}
}

func TestRepeatAllocatesNothing(t *testing.T) {
	e := establish(t, &recorder{})
	if _, err := e.Answer(context.Background(), repeating(t), anything); err != nil {
		t.Fatal(err)
	}
	e.engine.o.Port = drop{}
	slot, payload := e.negotiation.slots[0], make([]byte, 100)
	seq := uint16(0)
	step := func() {
		seq++
		if err := slot.Write(Outgoing{Codec: codec.Opus, Seq: seq}, payload); err != nil {
			t.Fatal(err)
		}
		if slot.Repeat(e.engine.o.Clock(), seq, time.Second) == 0 {
			t.Fatal("not repeated")
		}
	}
	for range 2 * keptPackets {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}
