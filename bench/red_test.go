package bench

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzSplitRED: the parts of what is accepted are all of it but the headers.
func FuzzSplitRED(f *testing.F) {
	f.Add([]byte("\x6fnew"))
	f.Add([]byte("\xef\x0f\x00\x03\x6foldnew"))
	f.Add([]byte("\xef\x1e\x00\x03\xef\x0f\x00\x02\x6foldermid"))
	f.Fuzz(func(t *testing.T, b []byte) {
		blocks, own, ok := splitRED(b)
		if !ok {
			return
		}
		size := 1 + len(own)
		for _, x := range blocks {
			size += 4 + len(x.payload)
		}
		if size != len(b) {
			t.Fatalf("%d bytes of %d", size, len(b))
		}
	})
}

// What a voice writes reads as it was written; nothing is carried over a pause that an offset cannot say.
func TestEncodingWritesRED(t *testing.T) {
	e := &encoding{redundancy: 2, to: binding{pt: payloadOpus, redPT: payloadRED}}
	var got []string
	ts := uint32(0)
	for i, pause := range []uint32{0, 0, 0, 20_000, 0} {
		ts += 960 + pause
		p := sentPacket{used: true, sequence: uint16(65534 + i), timestamp: ts, payload: []byte(fmt.Sprint("p", i))}
		e.sent[p.sequence%historyPackets] = p
		blocks, own, ok := splitRED(e.redundant(p))
		if !ok {
			t.Fatalf("packet %d cannot be read", i)
		}
		var parts []string
		for _, b := range blocks {
			parts = append(parts, fmt.Sprintf("%s@%d", b.payload, b.offset))
		}
		got = append(got, strings.Join(append(parts, string(own)), " "))
	}
	want := "p0, p0@960 p1, p0@1920 p1@960 p2, p3, p3@960 p4"
	if strings.Join(got, ", ") != want {
		t.Errorf("wrote %s, want %s", strings.Join(got, ", "), want)
	}
}
