package sfu

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/transport"
)

func wantHeard(t *testing.T, a *actor, want ...string) {
	t.Helper()
	if got := a.heard(); !slices.Equal(got, want) {
		t.Errorf("%s heard %q, want %q", a.o.ID, got, want)
	}
}

func payloads(d []delivery) (out []string) {
	for _, x := range d {
		out = append(out, x.payload)
	}
	return out
}

func TestNothingFlowsBeforeTheRosterNamesBoth(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		a.publish("c", "", keyFrame)
		s.admit("a")
		a.publish("c", "", keyFrame)
		if got := b.got("v0"); got != nil {
			t.Errorf("b got %d packets in the lobby", len(got))
		}
		b.publish("c", "", keyFrame)
		if got := a.got("v0"); got != nil {
			t.Errorf("a got %d packets from the lobby", len(got))
		}
		if got := s.metric("bedside_lobby_packets_total", ""); got != 2 {
			t.Errorf("%v lobby packets counted, want 2", got)
		}
		a.heard()
		b.heard()
		s.admit("a", "b")
		wantHeard(t, b, "a0: a mic", "v0: a camera")
		a.publish("c", "", keyFrame)
		if got := payloads(b.got("v0")); !slices.Equal(got, []string{keyFrame}) {
			t.Errorf("b got %q, want the key frame", got)
		}
		if got := s.metric("bedside_invariant_violations_total", invariantHiddenSubscriber); got != 0 {
			t.Errorf("%v invariant violations", got)
		}
	})
}

func TestWhoLeavesTheRosterIsSilentAtOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(s *stage, a *actor)
	}{
		{"taken out of the roster", func(s *stage, _ *actor) { s.admit("b") }},
		{"closed", func(_ *stage, a *actor) { _ = a.Peer.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, func(s *stage) {
				a, b := s.enter("a"), s.enter("b")
				s.admit("a", "b")
				a.publish("c", "", keyFrame)
				b.publish("c", "", keyFrame)
				a.heard()
				b.heard()
				a.got("v0")
				b.got("v0")
				c.leave(s, a)
				wantHeard(t, b, "a0:  ", "v0:  ")
				a.publish("c", "", keyFrame)
				b.publish("c", "", keyFrame)
				if got := b.got("v0"); got != nil {
					t.Errorf("b got %d packets of who has left", len(got))
				}
				if got := a.got("v0"); got != nil {
					t.Errorf("who has left got %d packets", len(got))
				}
			})
		})
	}
}

// What somebody sent before they left cannot be asked for again from the slot that was theirs.
func TestNACKReachesNobodyWhoHasLeft(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b", "c")
		a.publish("c", "", keyFrame)
		old := b.got("v0")
		if len(old) != 1 {
			t.Fatalf("b got %d packets, want 1", len(old))
		}
		nack := &rtcp.TransportLayerNack{MediaSSRC: 103, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{old[0].Seq})}
		b.RTCP(time.Now(), nack)
		if got := b.got("v0"); len(got) != 1 || !got[0].rtx || got[0].payload[2:] != keyFrame || got[0].Timestamp != old[0].Timestamp {
			t.Errorf("retransmission %+v, want the packet again by RTX", got)
		}
		s.admit("b", "c")
		c.publish("c", "", keyFrame)
		b.got("v0")
		s.advance(time.Second)
		b.RTCP(time.Now(), nack)
		if got := b.got("v0"); got != nil {
			t.Errorf("%d packets of who has left were sent again", len(got))
		}
	})
}

func TestRetransmissionAtMostOnceARoundTrip(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.publish("c", "", keyFrame)
		seq := b.got("v0")[0].Seq
		for range 1000 {
			b.RTCP(time.Now(), &rtcp.TransportLayerNack{MediaSSRC: 103, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{seq})})
		}
		if got := b.got("v0"); len(got) != 1 {
			t.Errorf("sent again %d times, want once", len(got))
		}
	})
}

// A slot that changes hands: everything of the new occupant has a timestamp at or after the one
// announced, everything before an earlier one; numbers go on; it starts with a key frame.
func TestSlotChangesHands(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b")
		a.publish("c", "", keyFrame)
		before := b.got("v0")
		s.advance(10 * time.Second)
		s.admit("b", "c")
		c.publish("c", "", delta)
		if got := b.got("v0"); got != nil {
			t.Errorf("the new occupant began with %q, want nothing before a key frame", payloads(got))
		}
		c.publish("c", "", keyFrame)
		after := b.got("v0")
		if len(before) != 1 || len(after) != 1 {
			t.Fatalf("%d and %d packets, want 1 and 1", len(before), len(after))
		}
		boundary := b.slots[3].sitting.rtp
		if int32(before[0].Timestamp-boundary) >= 0 || int32(after[0].Timestamp-boundary) < 0 {
			t.Errorf("timestamps %d, boundary %d, %d", before[0].Timestamp, boundary, after[0].Timestamp)
		}
		if after[0].Seq != before[0].Seq+1 {
			t.Errorf("sequence number %d after %d", after[0].Seq, before[0].Seq)
		}
		if got := after[0].Timestamp - before[0].Timestamp; got != 10*90_000 {
			t.Errorf("%d units of timestamp in 10 s, want 900000", got)
		}
	})
}

func TestMute(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.publish("c", "", keyFrame)
		b.heard()
		b.got("v0")
		if err := a.Mute(context.Background(), "c", true); err != nil {
			t.Fatal(err)
		}
		wantHeard(t, b, "v0: a camera muted")
		a.publish("c", "", keyFrame) // a client that mutes only in its page
		if got := b.got("v0"); got != nil {
			t.Errorf("%d packets of a muted camera", len(got))
		}
		a.asked()
		s.advance(5 * time.Second)
		b.RTCP(time.Now(), &rtcp.PictureLossIndication{MediaSSRC: 103})
		if got := a.asked(); got != nil {
			t.Errorf("asked %d times for a key frame that nobody would get", len(got))
		}
		if err := a.Mute(context.Background(), "c", false); err != nil {
			t.Fatal(err)
		}
		if got := a.asked(); len(got) != 1 {
			t.Errorf("asked %d times for a key frame when it is back, want once and at once", len(got))
		}
		wantHeard(t, b, "v0: a camera")
		a.publish("c", "", delta)
		a.publish("c", "", keyFrame)
		if got := payloads(b.got("v0")); !slices.Equal(got, []string{keyFrame}) {
			t.Errorf("after the mute b got %q, want to begin with a key frame", got)
		}
		for _, p := range a.rtcp {
			if n, ok := p.(*rtcp.TransportLayerNack); ok {
				t.Errorf("asked again for packets %v, which came while muted", n.Nacks)
			}
		}
		if err := a.Mute(context.Background(), "nobody's", true); !errors.Is(err, ErrUnknownMid) {
			t.Errorf("mute of an unknown m-line: %v", err)
		}
	})
}

func TestScreenThatIsNoLongerSharedIsGone(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		b.heard()
		a.publish("s", "", keyFrame)
		wantHeard(t, b, "v3: a screen")
		mute := func(muted bool) {
			if err := a.Mute(context.Background(), "s", muted); err != nil {
				t.Fatal(err)
			}
		}
		mute(true)
		wantHeard(t, b, "v3:  ")
		mute(false) // announced: the slot is there before the first packet
		wantHeard(t, b, "v3: a screen")
	})
}

// Requests for key frames: one for a layer in 500 ms however many want one, repeated until it comes.
func TestKeyFrameRequests(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b", "c")
		a.publish("c", "", delta)
		if got := a.asked(); !slices.Equal(got, []uint32{ssrcOf("c", "")}) {
			t.Errorf("two subscribers, asked for %v, want one request", got)
		}
		for range 20 {
			b.RTCP(time.Now(), &rtcp.PictureLossIndication{MediaSSRC: 103})
			c.RTCP(time.Now(), &rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 103}}})
		}
		if got := a.asked(); got != nil {
			t.Errorf("asked %d times within 500 ms of the first request", len(got))
		}
		s.advance(1100 * time.Millisecond)
		if got := a.asked(); len(got) != 2 {
			t.Errorf("asked %d times in the 1.1 s that no key frame came, want 2", len(got))
		}
		a.publish("c", "", keyFrame)
		s.advance(2 * time.Second)
		if got := a.asked(); got != nil {
			t.Errorf("asked %d times after the key frame came", len(got))
		}
	})
}

// A request for a slot that was somebody else's goes to who is in it now, one for an empty slot to
// nobody.
func TestKeyFrameRequestOfAReusedSlot(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b, c := s.enter("a"), s.enter("b"), s.enter("c")
		s.admit("a", "b")
		a.publish("c", "", keyFrame)
		s.admit("b")
		a.asked()
		s.advance(time.Second)
		b.RTCP(time.Now(), &rtcp.PictureLossIndication{MediaSSRC: 103})
		s.admit("b", "c")
		c.publish("c", "", keyFrame)
		s.advance(time.Second)
		c.asked()
		b.RTCP(time.Now(), &rtcp.PictureLossIndication{MediaSSRC: 103})
		if x, y := a.asked(), c.asked(); x != nil || len(y) != 1 {
			t.Errorf("asked the previous occupant %d times and the present one %d times, want 0 and 1", len(x), len(y))
		}
	})
}

func TestHighestEncodingIsForwarded(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.publish("c", "q", keyFrame+"q")
		a.publish("c", "f", keyFrame+"f")
		a.publish("c", "q", delta+"q")
		a.publish("c", "f", delta+"f")
		if got := a.asked(); got != nil {
			t.Errorf("asked for %d key frames that had just come", len(got))
		}
		if got, want := payloads(b.got("v0")), []string{keyFrame + "q", keyFrame + "f", delta + "f"}; !slices.Equal(got, want) {
			t.Errorf("b got %q, want %q", got, want)
		}
		wantHeard(t, a, "connected", "a0: b mic", "v0: b camera", `layers c ["q" "h" "f"]`)
		// f stops: after half a second q is what is left.
		for range 20 {
			s.advance(33 * time.Millisecond)
			a.publish("c", "q", keyFrame+"q")
		}
		if got := payloads(b.got("v0")); len(got) == 0 || got[0] != keyFrame+"q" {
			t.Errorf("b got %q after f had stopped, want q from a key frame on", got)
		}
		wantHeard(t, a)
	})
}

func TestFourthEncodingIsRefused(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		for _, rid := range []string{"q", "h", "f"} {
			if a.Open("c", rid) == nil {
				t.Errorf("%s is refused", rid)
			}
		}
		if a.Open("c", "x") != nil || a.Open("nobody's", "q") != nil {
			t.Error("a fourth encoding or an unknown m-line is taken")
		}
	})
}

func TestSpeakers(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		b.heard()
		for range 50 {
			s.advance(20 * time.Millisecond)
			a.speak(100)
		}
		if got := b.heard(); len(got) != 1 || !strings.HasPrefix(got[0], "speakers [{a ") {
			t.Errorf("b heard %q, want that a speaks, once", got)
		}
		for range 200 {
			s.advance(20 * time.Millisecond)
			a.speak(0)
		}
		wantHeard(t, b, "speakers []")
	})
}

func TestTooManyStreamsEndsThePeerAlone(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.publish("c", "", keyFrame)
		a.heard()
		b.heard()
		a.TooManyStreams()
		wantHeard(t, a, "failed ssrc_limit")
		wantHeard(t, b, "a0:  ", "v0:  ")
	})
}

func TestConnectionThatFailsLeavesItsSlots(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.heard()
		b.heard()
		a.become(transport.StateDisconnected)
		wantHeard(t, a, "disconnected", "a0:  ", "v0:  ")
		wantHeard(t, b, "a0:  ", "v0:  ")
		a.become(transport.StateConnected)
		wantHeard(t, a, "connected", "a0: b mic", "v0: b camera")
		wantHeard(t, b, "a0: a mic", "v0: a camera")
		a.become(transport.StateFailed)
		wantHeard(t, a, "failed media_failed")
		wantHeard(t, b, "a0:  ", "v0:  ")
	})
}

func TestSamePeerTwice(t *testing.T) {
	onStage(t, func(s *stage) {
		s.enter("a")
		second := newPeer(s.room, PeerOptions{ID: "a", Events: mute{}})
		if err := s.room.add(context.Background(), second); !errors.Is(err, ErrDuplicatePeer) {
			t.Errorf("%v, want ErrDuplicatePeer", err)
		}
	})
}

func TestCheckTracks(t *testing.T) {
	sends := []transport.MLine{{Mid: "0", Kind: codec.Audio, Sends: true}, {Mid: "1", Kind: codec.Video, Sends: true}}
	for _, c := range []struct {
		name   string
		tracks []Track
		ok     bool
	}{
		{"a source for each", []Track{{"0", codec.Mic}, {"1", codec.Camera}}, true},
		{"one m-line without", []Track{{"0", codec.Mic}}, false},
		{"one source too many", []Track{{"0", codec.Mic}, {"1", codec.Camera}, {"2", codec.Screen}}, false},
		{"a source twice", []Track{{"0", codec.Mic}, {"1", codec.Mic}}, false},
		{"a mid twice", []Track{{"0", codec.Mic}, {"0", codec.Camera}}, false},
		{"video on an audio m-line", []Track{{"0", codec.Camera}, {"1", codec.Mic}}, false},
		{"a source of another role", []Track{{"0", codec.Auscultation}, {"1", codec.Camera}}, false},
		{"an unknown source", []Track{{"0", "smell"}, {"1", codec.Camera}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Peer{o: PeerOptions{Publish: []codec.Source{codec.Mic, codec.Camera, codec.Screen}}}
			if err := p.checkTracks(sends, c.tracks); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrBadTrack) {
				t.Errorf("%v, want ok %v", err, c.ok)
			}
		})
	}
}

// Sender reports of an audio and a video slot of one person stay in step: what was captured at one
// instant has, by the reports, the same wallclock time, although each slot has numbers of its own.
func TestSenderReportsKeepLipSync(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.publish("c", "", keyFrame) // timestamp 3000
		a.speak(100)                 // timestamp 3000
		// The publisher's clock is an hour fast; both streams were captured at its 1000 s.
		const captured = uint64(1000) << 32
		a.RTCP(time.Now(), &rtcp.SenderReport{SSRC: ssrcOf("c", ""), NTPTime: captured, RTPTime: 3000})
		a.RTCP(time.Now(), &rtcp.SenderReport{SSRC: ssrcOf("m", ""), NTPTime: captured, RTPTime: 3000})
		video, audio := b.got("v0")[0], b.got("a0")[0]
		s.advance(5 * time.Second)
		reports := map[uint32]*rtcp.SenderReport{}
		b.mu.Lock()
		for _, p := range b.rtcp {
			if sr, ok := p.(*rtcp.SenderReport); ok {
				reports[sr.SSRC] = sr
			}
		}
		b.mu.Unlock()
		v, x := reports[103], reports[100]
		if v == nil || x == nil {
			t.Fatal("no sender reports in 5 s")
		}
		since := func(r *rtcp.SenderReport, d delivery, rate float64) float64 {
			return float64(r.NTPTime)/(1<<32) - float64(r.RTPTime-d.Timestamp)/rate
		}
		if d := since(v, video, 90_000) - since(x, audio, 48_000); d > 0.001 || d < -0.001 {
			t.Errorf("video is %.4f s away from audio that was captured with it", d)
		}
	})
}

func TestRoundTripIsMeasured(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		if got := a.roundTrip(); got != assumedRoundTrip {
			t.Errorf("round trip %v before any report", got)
		}
		sent := time.Now()
		s.advance(80 * time.Millisecond)
		a.RTCP(time.Now(), &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{
			SSRC: 103, LastSenderReport: uint32(forward.NTP(sent) >> 16), Delay: 65536 * 30 / 1000,
		}}})
		if got := a.roundTrip().Round(time.Millisecond); got != 50*time.Millisecond {
			t.Errorf("round trip %v, want 50ms: 80 ms less the 30 ms that the client held it", got)
		}
	})
}
