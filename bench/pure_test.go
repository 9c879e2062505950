package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// The tests of this file look inside: what they step is pure and not exported.

func epoch() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) }

// longAfter is after all that a test does.
func longAfter() time.Time { return epoch().Add(time.Hour) }

func TestTagSurvivesTheTrip(t *testing.T) {
	want := Tag{
		Sender: SenderHash("p1"), Source: sourceNumber(wire.SourceExam), Layer: 2, Key: true,
		Frame: 70000, Packet: 3, Count: 4, Sent: epoch(),
	}
	b := make([]byte, 100)
	want.put(b)
	got, ok := ParseTag(b)
	if !ok || !got.Sent.Equal(want.Sent) {
		t.Fatalf("got %+v, %v", got, ok)
	}
	got.Sent = want.Sent
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.SourceOf() != wire.SourceExam {
		t.Errorf("source %q", got.SourceOf())
	}
	for i := len(b) - TagBytes; i < len(b); i++ {
		b[i] ^= 1
		if _, ok := ParseTag(b); ok {
			t.Errorf("a tag with byte %d damaged was accepted", i)
		}
		b[i] ^= 1
	}
	if _, ok := ParseTag(b[:TagBytes-1]); ok {
		t.Error("half a tag was accepted")
	}
}

func FuzzParseVP8(f *testing.F) {
	f.Add([]byte{0x90, 0x80, 0x81, 0x02, 0x10})
	f.Add([]byte{0x90, 0xe0, 0x81, 0x02, 0x07, 0x40, 0x11})
	f.Add([]byte{0x80, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseVP8(b)
		if err == nil && (d.size < 1 || d.size >= len(b)) {
			t.Errorf("descriptor of %d bytes in a payload of %d", d.size, len(b))
		}
		ParseTag(b)
	})
}

// A stream is what the encoder makes, numbered as an encoding would.
func stream(v *Video, frames int, requests ...int) []Inbound {
	e := newEncoder(v, wire.SourceCamera, len(v.Layers)-1, rand.New(rand.NewPCG(1, 2)))
	e.sender = SenderHash("p1")
	now := epoch()
	var out []Inbound
	for i := range frames {
		if slices.Contains(requests, i) {
			e.requestKey(now)
		}
		for _, p := range e.frame(now) {
			out = append(out, Inbound{
				Sequence: uint16(65500 + len(out)), Timestamp: uint32(i) * 6000, Marker: p.marker, Payload: p.data,
			})
		}
		now = now.Add(time.Second / time.Duration(v.FPS))
	}
	return out
}

func receive(r *Receiver, packets []Inbound) {
	now := epoch()
	for _, p := range packets {
		now = now.Add(10 * time.Millisecond)
		r.Packet(now, p)
	}
}

func assigned() *Receiver {
	r := NewReceiver(true)
	r.Assign(epoch(), wire.Assignment{Mid: "5", Participant: "p1", Source: wire.SourceCamera, State: wire.SlotLive})
	return r
}

func TestReceiverOfAPerfectStream(t *testing.T) {
	for name, v := range map[string]*Video{"one layer": Camera(), "three temporal layers": SimulcastCamera()} {
		t.Run(name, func(t *testing.T) {
			packets := stream(v, 300)
			r := assigned()
			receive(r, packets)
			got := r.Report(longAfter())
			if got.Packets != uint64(len(packets)) || got.Frames != 300 || got.Decodable != 300 {
				t.Errorf("%d packets, %d frames, %d decodable; sent %d and 300", got.Packets, got.Frames, got.Decodable, len(packets))
			}
			if got.Wrong+got.Lost+got.Duplicates+got.Broken+got.Untagged != 0 || got.Continuity != (Continuity{}) {
				t.Errorf("faults in a perfect stream: %+v", got)
			}
			if f := got.Flows; len(f) != 1 || f[0].Packets != got.Packets || f[0].Frames != 300 {
				t.Errorf("flows %+v", f)
			}
		})
	}
}

func TestEncoderKeyFrames(t *testing.T) {
	// At 15 frames a second 300 ms are five frames.
	for _, tt := range []struct {
		name     string
		requests []int
		want     []uint32
	}{
		{"at the start", nil, []uint32{1}},
		{"on request", []int{20}, []uint32{1, 21}},
		{"deaf for 300 ms", []int{20, 21, 24}, []uint32{1, 21}},
		{"not for longer", []int{20, 25}, []uint32{1, 21, 26}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var keys []uint32
			for _, p := range stream(Camera(), 60, tt.requests...) {
				tag, _ := ParseTag(p.Payload)
				d, err := parseVP8(p.Payload)
				if err != nil {
					t.Fatal(err)
				}
				if d.key != (tag.Key && tag.Packet == 0) {
					t.Errorf("frame %d packet %d: tag and payload disagree about the key frame", tag.Frame, tag.Packet)
				}
				if d.key {
					keys = append(keys, tag.Frame)
				}
			}
			if !slices.Equal(keys, tt.want) {
				t.Errorf("key frames %v, want %v", keys, tt.want)
			}
		})
	}
}

func TestReceiverFaults(t *testing.T) {
	v := SimulcastCamera()
	whole := stream(v, 120, 60)
	at := 40 // in the middle of a frame or not: whatever the encoder made of it
	damaged := func(change func(b []byte)) []Inbound {
		out := slices.Clone(whole)
		out[at].Payload = slices.Clone(out[at].Payload)
		change(out[at].Payload)
		return out
	}
	for _, tt := range []struct {
		name    string
		packets []Inbound
		count   func(SlotReport) uint64
		want    uint64
	}{
		{"a packet lost for good", slices.Delete(slices.Clone(whole), at, at+1), func(r SlotReport) uint64 { return r.Lost }, 1},
		{"a lost packet breaks its frame", slices.Delete(slices.Clone(whole), at, at+1), func(r SlotReport) uint64 { return r.Broken }, 1},
		{"a frame that is not there but was numbered over", renumbered(whole, 20), func(r SlotReport) uint64 { return r.Continuity.Reference }, 1},
		{"a packet twice", slices.Insert(slices.Clone(whole), at+5, whole[at]), func(r SlotReport) uint64 { return r.Duplicates }, 1},
		{"a damaged tag", damaged(func(b []byte) { b[len(b)-1] ^= 1 }), func(r SlotReport) uint64 { return r.Untagged }, 1},
		{"a picture id that jumps and returns", damaged(func(b []byte) { b[3] ^= 0x20 }), func(r SlotReport) uint64 { return r.Continuity.Picture }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := assigned()
			receive(r, tt.packets)
			if got := tt.count(r.Report(longAfter())); got != tt.want {
				t.Errorf("got %d, want %d; all: %+v", got, tt.want, r.Report(longAfter()))
			}
		})
	}
}

// renumbered is a stream from which a server took one frame and closed the gap in every number.
func renumbered(whole []Inbound, frame uint32) []Inbound {
	var out []Inbound
	var taken uint16
	for _, p := range whole {
		p.Payload = slices.Clone(p.Payload)
		if p.Timestamp == frame*6000 {
			taken++
			continue
		}
		if p.Timestamp > frame*6000 {
			p.Sequence -= taken
			id := (uint16(p.Payload[2]&0x7f)<<8 | uint16(p.Payload[3])) - 1
			p.Payload[2], p.Payload[3] = 0x80|byte(id>>8)&0x7f, byte(id)
			p.Payload[2] |= 0x80
		}
		out = append(out, p)
	}
	return out
}

func TestReceiverKnowsWhoseTurnItIs(t *testing.T) {
	packets := stream(Camera(), 30)
	for _, tt := range []struct {
		name        string
		assignments []wire.Assignment
		wrong       uint64
	}{
		{"announced before", []wire.Assignment{{Participant: "p1", Source: wire.SourceCamera}}, 0},
		{"another participant", []wire.Assignment{{Participant: "p2", Source: wire.SourceCamera}}, uint64(len(packets))},
		{"another source", []wire.Assignment{{Participant: "p1", Source: wire.SourceScreen}}, uint64(len(packets))},
		{"never announced", nil, uint64(len(packets))},
		{"emptied before", []wire.Assignment{{Participant: "p1", Source: wire.SourceCamera}, {State: wire.SlotEmpty}}, uint64(len(packets))},
		{"from a later frame on", []wire.Assignment{{Participant: "p1", Source: wire.SourceCamera, RTP: 6000}}, countFrames(packets, 1)},
		{"until a later frame", []wire.Assignment{
			{Participant: "p1", Source: wire.SourceCamera}, {Participant: "p2", Source: wire.SourceCamera, RTP: 28 * 6000},
		}, uint64(len(packets)) - countFrames(packets, 28)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, after := NewReceiver(true), NewReceiver(true)
			for _, a := range tt.assignments {
				before.Assign(epoch(), a)
			}
			receive(before, packets)
			receive(after, packets)
			for _, a := range tt.assignments {
				after.Assign(epoch(), a)
			}
			if got := before.Report(longAfter()).Wrong; got != tt.wrong {
				t.Errorf("announced first: %d wrong, want %d", got, tt.wrong)
			}
			// What was held back is judged by each assignment in turn, so only the last rows differ.
			if got := after.Report(longAfter()).Wrong; got > tt.wrong {
				t.Errorf("announced afterwards: %d wrong, want at most %d", got, tt.wrong)
			}
		})
	}
}

// countFrames counts the packets of the first n frames.
func countFrames(packets []Inbound, n uint32) uint64 {
	var count uint64
	for _, p := range packets {
		if p.Timestamp < n*6000 {
			count++
		}
	}
	return count
}

func TestReceiverAsksForWhatIsMissing(t *testing.T) {
	packets := stream(Camera(), 30)
	r := assigned()
	receive(r, packets[:10])
	now := epoch().Add(time.Second)
	r.Packet(now, packets[12]) // 10 and 11 are missing
	steps := []struct {
		after time.Duration
		want  []uint16
	}{
		{0, nil}, // it may be reordering
		{nackDelay, []uint16{packets[10].Sequence, packets[11].Sequence}},
		{nackDelay + 50*time.Millisecond, nil},
		{nackDelay + nackRepeat, []uint16{packets[10].Sequence, packets[11].Sequence}},
	}
	for _, s := range steps {
		if got, _ := r.Feedback(now.Add(s.after)); !slices.Equal(got, s.want) {
			t.Errorf("after %v: asks for %v, want %v", s.after, got, s.want)
		}
	}
	repaired := packets[10]
	repaired.Repaired = true
	r.Packet(now.Add(150*time.Millisecond), repaired)
	r.Packet(now.Add(150*time.Millisecond), packets[11])
	if got := r.Report(longAfter()); got.Repaired != 1 || got.Lost != 0 || got.Packets != 13 {
		t.Errorf("after repair: %+v", got)
	}
	if due := r.Deadline(); !due.IsZero() {
		t.Errorf("nothing is missing, and yet something is due at %v", due)
	}
}

func TestReceiverAsksAgainAfterARoundTrip(t *testing.T) {
	packets := stream(Camera(), 30)
	r := assigned()
	receive(r, packets[:10])
	now := epoch().Add(time.Second)
	r.Packet(now, packets[11])
	r.SetRTT(30 * time.Millisecond)
	for _, s := range []struct {
		after time.Duration
		want  int
	}{{nackDelay, 1}, {nackDelay + 49*time.Millisecond, 0}, {nackDelay + 50*time.Millisecond, 1}, {nackDelay + 99*time.Millisecond, 0}, {nackDelay + 100*time.Millisecond, 1}} {
		if got, _ := r.Feedback(now.Add(s.after)); len(got) != s.want {
			t.Errorf("after %v: asks for %v, want %d", s.after, got, s.want)
		}
	}
}

func TestReceiverAsksForAKeyFrame(t *testing.T) {
	packets := stream(Camera(), 60, 40)
	key := slices.IndexFunc(packets, func(p Inbound) bool { return p.Timestamp == 40*6000 })
	r := assigned()
	receive(r, packets[20:key]) // joined in the middle
	now := epoch().Add(time.Minute)
	if _, got := r.Feedback(now); !got {
		t.Error("no key frame asked for in the middle of a stream")
	}
	if _, got := r.Feedback(now.Add(pliRepeat - 1)); got {
		t.Error("asked again too soon")
	}
	if _, got := r.Feedback(now.Add(pliRepeat)); !got {
		t.Error("did not ask again")
	}
	receive(r, packets[key:])
	if _, got := r.Feedback(now.Add(time.Minute)); got {
		t.Error("asked with a key frame at hand")
	}
	if got := r.Report(longAfter()).Decodable; got != 20 {
		t.Errorf("%d decodable frames, want the 20 from the key frame on", got)
	}
}

func TestReceiverSurvivesAJump(t *testing.T) {
	packets := stream(Camera(), 60)
	for i := 30; i < len(packets); i++ {
		packets[i].Sequence += 5000
	}
	r := assigned()
	receive(r, packets)
	if got := r.Report(longAfter()); got.Lost != 5000 || got.Duplicates != 0 {
		t.Errorf("%+v", got)
	}
}
