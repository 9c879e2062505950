package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/bedside-video/bedside/sfu/codec"
)

func TestParseRED(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload []byte
		blocks  []string // offset:payload
		primary string
		err     error
	}{
		{"no earlier one", []byte("\x6fnew"), nil, "new", nil},
		{"no payload at all", []byte{111}, nil, "", nil},
		// As Chromium 156 writes it: 960 units before, 3 bytes.
		{"one", []byte("\xef\x0f\x00\x03\x6foldnew"), []string{"960:old"}, "new", nil},
		{"two", []byte("\xef\x1e\x00\x03\xef\x0f\x00\x02\x6foldermid"), []string{"1920:old", "960:er"}, "mid", nil},
		{"the longest offset", []byte("\xef\xff\xfc\x01\x6fab"), []string{"16383:a"}, "b", nil},
		{"empty", nil, nil, "", codec.ErrRED},
		{"header cut off", []byte{0xef, 0x0f, 0}, nil, "", codec.ErrRED},
		{"no primary header", []byte{0xef, 0x0f, 0, 0}, nil, "", codec.ErrRED},
		{"block cut off", []byte("\xef\x0f\x00\x05\x6fold"), nil, "", codec.ErrRED},
		{"another type earlier", []byte("\xee\x0f\x00\x03\x6foldnew"), nil, "", codec.ErrRED},
		{"another type", []byte("\xef\x0f\x00\x03\x6eoldnew"), nil, "", codec.ErrRED},
		{"too many", append(bytes.Repeat([]byte{0xef, 0, 4, 0}, 10), 111), nil, "", codec.ErrRED},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r codec.RED
			err := r.Parse(tt.payload, 111)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			var blocks []string
			for _, b := range r.Blocks() {
				blocks = append(blocks, fmt.Sprintf("%d:%s", b.Offset, b.Payload))
			}
			if !slices.Equal(blocks, tt.blocks) || string(r.Primary) != tt.primary {
				t.Errorf("%q and %q, want %q and %q", blocks, r.Primary, tt.blocks, tt.primary)
			}
		})
	}
}

// voice numbers packets of 20 ms, but for those after pauses.
func voice(n int, pauses map[int]uint32) []codec.Packet {
	var out []codec.Packet
	seq, ts := uint16(65530), uint32(1<<32-3000)
	for i := range n {
		ts += 960 + pauses[i]
		out = append(out, codec.Packet{Seq: seq, Timestamp: ts, PayloadType: 63, Payload: []byte(fmt.Sprint(i))})
		seq++
	}
	return out
}

// wrap makes packet i RED with the packets so far before it.
func wrap(packets []codec.Packet, i int, distances ...int) codec.Packet {
	p := packets[i]
	var blocks []codec.Block
	slices.Sort(distances)
	slices.Reverse(distances)
	for _, d := range distances {
		if i >= d {
			blocks = append(blocks, codec.Block{Offset: uint16(p.Timestamp - packets[i-d].Timestamp), Payload: packets[i-d].Payload})
		}
	}
	p.Payload = codec.AppendRED(nil, blocks, p.Payload)
	codec.SetREDType(p.Payload, len(blocks), 111)
	return p
}

func TestUnwrapper(t *testing.T) {
	for _, tt := range []struct {
		name      string
		distances []int
		pauses    map[int]uint32
		lost      []int
		want      []int // which come, in this order
	}{
		{"nothing lost", []int{1, 2}, nil, nil, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"one of each two", []int{1}, nil, []int{2, 4, 6}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"more than is carried", []int{1}, nil, []int{2, 3}, []int{0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"three of three", []int{1, 2, 3}, nil, []int{2, 3, 4}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"far ones", []int{2, 6}, nil, []int{3, 4, 5, 6}, []int{0, 1, 2, 5, 7, 6, 8, 3, 9, 4, 10, 11}},
		{"the first is lost", []int{1}, nil, []int{0}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"after a pause", []int{1}, map[int]uint32{4: 4800}, []int{4}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		// Which of the two lost packets the pause was before cannot be told.
		{"about a pause", []int{1}, map[int]uint32{5: 4860}, []int{4, 5}, []int{0, 1, 2, 3, 6, 7, 8, 9, 10, 11}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := voice(12, tt.pauses)
			var u codec.Unwrapper
			var got []int
			take := func(seq uint16, ts uint32, payload []byte) {
				i := int(seq - sent[0].Seq)
				if i < 0 || i >= len(sent) || sent[i].Timestamp != ts || !bytes.Equal(sent[i].Payload, payload) {
					t.Fatalf("number %d at %d is %q", seq, ts, payload)
				}
				got = append(got, i)
			}
			for i := range sent {
				if slices.Contains(tt.lost, i) {
					continue
				}
				p := wrap(sent, i, slices.Clone(tt.distances)...)
				found, err := u.Unwrap(&p, 111)
				if err != nil || p.PayloadType != 111 {
					t.Fatalf("type %d, %v", p.PayloadType, err)
				}
				for _, r := range found {
					take(r.Seq, r.Timestamp, r.Payload)
				}
				take(p.Seq, p.Timestamp, p.Payload)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("came %v, want %v", got, tt.want)
			}
		})
	}
}

// What came without RED, or late, is not recovered again.
func TestUnwrapperNotes(t *testing.T) {
	sent := voice(6, nil)
	var u codec.Unwrapper
	for _, i := range []int{0, 2, 1, 3} {
		u.Note(sent[i].Seq, sent[i].Timestamp)
	}
	p := wrap(sent, 5, 1, 2, 3, 4)
	found, err := u.Unwrap(&p, 111)
	if err != nil || len(found) != 1 || found[0].Seq != sent[4].Seq {
		t.Errorf("recovered %+v, %v, want the packet before", found, err)
	}
}

// FuzzRED: whatever is accepted can be written again, and its blocks are of the packet.
func FuzzRED(f *testing.F) {
	f.Add([]byte("\x6fnew"))
	f.Add([]byte("\xef\x0f\x00\x03\x6foldnew"))
	f.Add([]byte("\xef\x1e\x00\x03\xef\x0f\x00\x02\x6foldermid"))
	f.Add([]byte("\xef\xff\xff\xff\x6f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r codec.RED
		if r.Parse(b, 111) != nil {
			return
		}
		again := codec.AppendRED(nil, r.Blocks(), r.Primary)
		codec.SetREDType(again, len(r.Blocks()), 111)
		if !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

// FuzzUnwrapper: no packet is recovered twice, nor under the number of one that came.
func FuzzUnwrapper(f *testing.F) {
	f.Add([]byte{0, 1, 1, 2, 3, 0xFF, 8, 2}, uint8(3))
	f.Add([]byte{7, 7, 1, 1, 2}, uint8(9))
	f.Fuzz(func(t *testing.T, steps []byte, distance uint8) {
		steps = steps[:min(len(steps), 200)]
		sent := voice(len(steps), map[int]uint32{3: 960, 5: 77, 9: 30_000})
		var u codec.Unwrapper
		here := map[uint16]bool{}
		for i, step := range steps {
			if step%3 == 0 {
				continue
			}
			p := wrap(sent, i, int(distance%9)+1)
			if len(p.Payload) > 8 && step&4 != 0 {
				p.Payload[1] ^= step // another offset: a sender that lies
			}
			found, err := u.Unwrap(&p, 111)
			if err != nil {
				continue
			}
			here[p.Seq] = true
			for _, r := range found {
				if here[r.Seq] {
					t.Fatalf("number %d was there", r.Seq)
				}
				here[r.Seq] = true
			}
		}
	})
}

func TestUnwrapDoesNotAllocate(t *testing.T) {
	sent := voice(12, nil)
	var u codec.Unwrapper
	p := wrap(sent, 9, 1, 2, 3)
	u.Note(sent[5].Seq, sent[5].Timestamp)
	if n := testing.AllocsPerRun(100, func() {
		q := p
		if _, err := u.Unwrap(&q, 111); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
