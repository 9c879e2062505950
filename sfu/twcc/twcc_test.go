package twcc_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	piontwcc "github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/twcc"
)

// told is what a message says: when each packet came, in DeltaUnit since the reference's beginning of time, or -1.
type told struct {
	number uint16
	at     int64
}

func read(f *twcc.Feedback) (out []told) {
	at := int64(f.Reference) * int64(twcc.ReferenceUnit/twcc.DeltaUnit)
	for i, p := range f.Packets {
		x := told{f.Base + uint16(i), -1}
		if p.Came {
			at += int64(p.Delta)
			x.at = at
		}
		out = append(out, x)
	}
	return out
}

// readPion is the same of pion's.
func readPion(x *rtcp.TransportLayerCC) (out []told) {
	at := int64(x.ReferenceTime) * int64(twcc.ReferenceUnit/twcc.DeltaUnit)
	number, deltas := x.BaseSequenceNumber, x.RecvDeltas
	add := func(symbol uint16) {
		if len(out) == int(x.PacketStatusCount) {
			return
		}
		t := told{number, -1}
		if symbol == rtcp.TypeTCCPacketReceivedSmallDelta || symbol == rtcp.TypeTCCPacketReceivedLargeDelta {
			at += deltas[0].Delta / twcc.DeltaUnit.Microseconds()
			deltas = deltas[1:]
			t.at = at
		}
		out = append(out, t)
		number++
	}
	for _, c := range x.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			for range c.RunLength {
				add(c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			for _, s := range c.SymbolList {
				add(s)
			}
		}
	}
	return out
}

// path makes packets come: lost, late, twice, in bursts and after long silences.
type path struct {
	random *rand.Rand
	at     time.Duration
	next   uint16
	late   []uint16
	leaps  bool // of the numbers
}

func (p *path) packet() (number uint16, at time.Duration) {
	switch r := p.random.IntN(100); {
	case r < 60:
		p.at += time.Duration(p.random.IntN(1000)) * time.Microsecond
	case r < 62:
		p.at += time.Duration(p.random.IntN(12_000)) * time.Millisecond
	case r < 80:
		p.at += time.Duration(p.random.IntN(80)) * time.Millisecond
	}
	for p.random.IntN(10) == 0 {
		if p.next++; p.random.IntN(2) == 0 {
			p.late = append(p.late, p.next)
		}
	}
	if len(p.late) > 0 && p.random.IntN(8) == 0 {
		number = p.late[0]
		p.late = p.late[1:]
		return number, p.at
	}
	if p.leaps && p.random.IntN(500) == 0 {
		p.next += uint16(p.random.IntN(3000))
	}
	p.next++
	return p.next, p.at
}

// What a Recorder writes pion reads, and so does Parse; each packet that came is told once or more, never
// otherwise than it came, and none that did not.
func TestRecorder(t *testing.T) {
	for seed := range uint64(300) {
		p := path{random: rand.New(rand.NewPCG(seed, 1)), next: uint16(seed * 331), leaps: seed%2 == 1}
		var r twcc.Recorder
		var f twcc.Feedback
		came, seen := map[uint16]int64{}, map[uint16]bool{}
		messages := 0
		for range 200 {
			for range p.random.IntN(60) {
				number, at := p.packet()
				r.Record(7, number, at)
				if _, again := came[number]; !again {
					came[number] = int64((at + twcc.DeltaUnit/2) / twcc.DeltaUnit)
				}
			}
			for {
				b, ok := r.Append([]byte("before"), 1)
				if !ok {
					break
				}
				b = b[len("before"):]
				var x rtcp.TransportLayerCC
				if err := x.Unmarshal(b); err != nil || !twcc.Is(b) {
					t.Fatalf("seed %d: pion: %v of % x", seed, err, b)
				}
				if err := f.Parse(b); err != nil || len(b) > 1200 {
					t.Fatalf("seed %d: %v of %d bytes", seed, err, len(b))
				}
				if x.SenderSSRC != 1 || x.MediaSSRC != 7 || x.FbPktCount != uint8(messages) {
					t.Fatalf("seed %d: from %d of %d, message %d", seed, x.SenderSSRC, x.MediaSSRC, x.FbPktCount)
				}
				messages++
				got := read(&f)
				if want := readPion(&x); !slices.Equal(got, want) {
					t.Fatalf("seed %d: read %v, pion %v", seed, got, want)
				}
				for _, p := range got {
					at, ok := came[p.number]
					if p.at >= 0 && (!ok || p.at != at) {
						t.Fatalf("seed %d: %d came at %d, told %d", seed, p.number, at, p.at)
					}
					seen[p.number] = seen[p.number] || p.at >= 0
				}
			}
		}
		missed := 0
		for number := range came {
			if !seen[number] {
				missed++
			}
		}
		if missed > 0 && !p.leaps || messages < 100 { // what a leap leaves behind is forgotten
			t.Errorf("seed %d: %d of %d were never told, in %d messages", seed, missed, len(came), messages)
		}
	}
}

// Without a leap nothing is left out, and what is missing is told, too.
func TestRecorderTellsLosses(t *testing.T) {
	var r twcc.Recorder
	for i := range 20 {
		if i != 0 && i != 7 && i != 8 && i != 19 {
			r.Record(1, uint16(65530+i), time.Duration(i)*20*time.Millisecond)
		}
	}
	b, _ := r.Append(nil, 1)
	var f twcc.Feedback
	if err := f.Parse(b); err != nil {
		t.Fatal(err)
	}
	fate := func() string {
		var s []byte
		for _, p := range f.Packets {
			s = append(s, map[bool]byte{true: '.', false: 'x'}[p.Came])
		}
		return string(s)
	}
	if got := fate(); f.Base != 65531 || got != "......xx.........." {
		t.Errorf("from %d on %s", f.Base, got)
	}
	if _, more := r.Append(nil, 1); more {
		t.Error("there is more")
	}
	r.Record(1, 22, 2*time.Second)
	b, _ = r.Append(nil, 1)
	if err := f.Parse(b); err != nil || f.Base != 13 || fate() != "xxxxxxxxx." {
		t.Errorf("%v: from %d on %s", err, f.Base, fate())
	}
	r.Record(1, 65538&0xffff, 2*time.Second) // late: told with all that came after it
	b, _ = r.Append(nil, 1)
	if err := f.Parse(b); err != nil || f.Base != 2 || fate() != "...........xxxxxxxxx." {
		t.Errorf("%v: from %d on %s", err, f.Base, fate())
	}
}

// What pion writes is read as pion reads it.
func TestParse(t *testing.T) {
	for seed := range uint64(300) {
		p := path{random: rand.New(rand.NewPCG(seed, 2)), next: uint16(seed * 77), leaps: seed%2 == 1}
		r := piontwcc.NewRecorder(1)
		var f twcc.Feedback
		for range 50 {
			for range p.random.IntN(60) {
				number, at := p.packet()
				r.Record(7, number, at.Microseconds())
			}
			for _, x := range r.BuildFeedbackPacket() {
				b, err := x.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				var want rtcp.TransportLayerCC
				if err := want.Unmarshal(b); err != nil {
					t.Fatal(err)
				}
				if err := f.Parse(b); err != nil && int(want.PacketStatusCount) <= twcc.MaxPackets {
					t.Fatalf("seed %d: %v of % x", seed, err, b)
				} else if got := read(&f); err == nil && !slices.Equal(got, readPion(&want)) {
					t.Fatalf("seed %d: read %v", seed, got)
				}
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := []byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 1, 0, 0, 0, 0, 0x20, 1, 4, 0}
	var f twcc.Feedback
	if err := f.Parse(good); err != nil || len(f.Packets) != 1 || f.Packets[0] != (twcc.Packet{Came: true, Delta: 4}) {
		t.Fatalf("%v, %+v", err, f)
	}
	change := func(at int, to ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], to)
		return b
	}
	for name, b := range map[string][]byte{
		"empty": nil, "another format": change(0, 0x81), "another type": change(1, 206), "another version": change(0, 0x4f),
		"shorter than it says": good[:23], "shorter than its header": change(2, 0, 3), "longer than it is": change(2, 1, 0),
		"more than a server reads":      change(14, 0x10, 0x01),
		"no chunk":                      change(2, 0, 4),
		"an empty run":                  change(20, 0x20, 0),
		"a reserved symbol":             change(20, 0x60, 1),
		"a reserved symbol in a vector": change(20, 0xf0, 0),
		"no time":                       change(14, 0, 4, 0, 0, 0, 0, 0x20, 4),
		"half a time":                   change(14, 0, 2, 0, 0, 0, 0, 0x40, 2),
	} {
		if err := f.Parse(b); !errors.Is(err, twcc.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse: whatever is read, pion reads the same.
func FuzzParse(f *testing.F) {
	p := path{random: rand.New(rand.NewPCG(1, 3))}
	var r twcc.Recorder
	for range 8 {
		for range 40 {
			number, at := p.packet()
			r.Record(7, number, at)
		}
		b, _ := r.Append(nil, 1)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var ours twcc.Feedback
		if ours.Parse(b) != nil {
			return
		}
		if len(ours.Packets) > twcc.MaxPackets || len(ours.Packets) != int(binary.BigEndian.Uint16(b[14:])) {
			t.Fatalf("%d packets", len(ours.Packets))
		}
		b = b[:4*(1+int(binary.BigEndian.Uint16(b[2:])))]
		var theirs rtcp.TransportLayerCC
		if theirs.Unmarshal(b) != nil {
			return // it is stricter about padding
		}
		if got, want := read(&ours), readPion(&theirs); !slices.Equal(got, want) {
			t.Fatalf("read %v, pion %v", got, want)
		}
	})
}

// FuzzRecorder: whatever comes, what is written can be read.
func FuzzRecorder(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x05\x00\x02\x10\x05\xff\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r twcc.Recorder
		var x twcc.Feedback
		at := time.Duration(0)
		for ; len(b) >= 4; b = b[4:] {
			at += time.Duration(binary.BigEndian.Uint16(b[2:])) * time.Millisecond / 4
			r.Record(1, binary.BigEndian.Uint16(b), at)
			if b[3]%5 > 0 {
				continue
			}
			for messages := 0; ; messages++ {
				out, ok := r.Append(nil, 1)
				if !ok {
					break
				}
				if err := x.Parse(out); err != nil || len(out) > 1200 || messages > 1024 {
					t.Fatalf("message %d of %d bytes: %v", messages, len(out), err)
				}
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	var r twcc.Recorder
	var f twcc.Feedback
	var b []byte
	number, at := uint16(0), time.Duration(0)
	if n := testing.AllocsPerRun(100, func() {
		for range 60 {
			number++
			at += 1700 * time.Microsecond
			r.Record(1, number, at)
		}
		b, _ = r.Append(b[:0], 1)
		if err := f.Parse(b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

// BenchmarkFeedback is a message about 60 packets, written and read.
func BenchmarkFeedback(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		var r twcc.Recorder
		var f twcc.Feedback
		var out []byte
		number, at := uint16(0), time.Duration(0)
		b.ReportAllocs()
		for b.Loop() {
			for range 60 {
				number++
				at += 1700 * time.Microsecond
				r.Record(1, number, at)
			}
			out, _ = r.Append(out[:0], 1)
			_ = f.Parse(out)
		}
	})
	b.Run("pion", func(b *testing.B) {
		r := piontwcc.NewRecorder(1)
		number, at := uint16(0), time.Duration(0)
		b.ReportAllocs()
		for b.Loop() {
			for range 60 {
				number++
				at += 1700 * time.Microsecond
				r.Record(1, number, at.Microseconds())
			}
			for _, p := range r.BuildFeedbackPacket() {
				out, _ := p.Marshal()
				_, _ = rtcp.Unmarshal(out)
			}
		}
	})
}
