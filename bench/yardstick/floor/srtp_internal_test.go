package floor

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

func testKey() (master, salt []byte) {
	return []byte("0123456789abcdef"), []byte("salt0salt0sa")
}

// TestSealIsPions seals what pion opens, and opens what pion seals, over two turns of the sequence
// numbers, with header extensions and contributing sources.
func TestSealIsPions(t *testing.T) {
	master, salt := testKey()
	ours, err := newSRTPKey(master, salt)
	if err != nil {
		t.Fatal(err)
	}
	seals, err := srtp.CreateContext(master, salt, srtp.ProtectionProfileAeadAes128Gcm)
	if err != nil {
		t.Fatal(err)
	}
	opens, err := srtp.CreateContext(master, salt, srtp.ProtectionProfileAeadAes128Gcm)
	if err != nil {
		t.Fatal(err)
	}
	var in rollover
	plain := make([]byte, 0, receiveMTU)
	seq, last := uint16(65000), uint32(0)
	for i := range 2000 {
		h := rtp.Header{Version: 2, Marker: i%5 == 0, PayloadType: 96, SequenceNumber: seq, Timestamp: uint32(i), SSRC: 0xdecafbad}
		if i%3 == 0 {
			h.CSRC = []uint32{1, 2}
		}
		if i%4 == 0 {
			if err := h.SetExtension(3, []byte{1, 2, 3}); err != nil {
				t.Fatal(err)
			}
		}
		payload := fmt.Appendf(nil, "payload %d", i)
		theirs, err := seals.EncryptRTP(nil, append(must(h.Marshal()), payload...), &rtp.Header{})
		if err != nil {
			t.Fatal(err)
		}
		n, ok := headerLength(theirs)
		if !ok || n != h.MarshalSize() {
			t.Fatalf("packet %d: header of %d bytes, want %d", i, n, h.MarshalSize())
		}
		count := in.guess(seq)
		got, err := ours.open(plain, theirs, n, count)
		if err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("packet %d, rollover %d: opened %q, %v", i, count, got, err)
		}
		in.opened(seq, count)
		back, err := opens.DecryptRTP(nil, ours.seal(nil, theirs[:n], got, count), nil)
		if err != nil || !bytes.Equal(back[n:], payload) {
			t.Fatalf("packet %d: pion opened %q, %v", i, back, err)
		}
		seq, last = seq+97, count
	}
	if want := uint32((65000 + 1999*97) >> 16); last != want {
		t.Errorf("the rollover counter came to %d, want %d", last, want)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestRFC7714 is section 16.1.1 of RFC 7714, whose key is the session's.
func TestRFC7714(t *testing.T) {
	decode := func(s string) []byte { return must(hex.DecodeString(s)) }
	k, err := sessionKey(decode("000102030405060708090a0b0c0d0e0f"), decode("517569642070726f2071756f"))
	if err != nil {
		t.Fatal(err)
	}
	header := decode("8040f17b8041f8d35501a0b2")
	payload := decode("47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573")
	want := decode("8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833" +
		"899d7f27beb16a9152cf765ee4390cce")
	got := k.seal(nil, header, payload, 0)
	if !bytes.Equal(got, want) {
		t.Errorf("sealed\n%x, want\n%x", got, want)
	}
	if back, err := k.open(nil, got, len(header), 0); err != nil || !bytes.Equal(back, payload) {
		t.Errorf("opened %q, %v", back, err)
	}
}

// TestRollover follows a stream around the end of the sequence numbers.
func TestRollover(t *testing.T) {
	for _, c := range []struct {
		name  string
		seqs  []uint16
		wants []uint32
	}{
		{"in order", []uint16{65534, 65535, 0, 1}, []uint32{0, 0, 1, 1}},
		{"late over the edge", []uint16{65534, 0, 65535, 1}, []uint32{0, 1, 0, 1}},
		{"late after it", []uint16{5, 2, 6}, []uint32{0, 0, 0}},
		{"two turns", []uint16{60000, 20000, 40000, 60000, 10000}, []uint32{0, 1, 1, 1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r rollover
			for i, seq := range c.seqs {
				if got := r.guess(seq); got != c.wants[i] {
					t.Errorf("packet %d, %d: %d, want %d", i, seq, got, c.wants[i])
				}
				r.opened(seq, r.guess(seq))
			}
		})
	}
}

// FuzzHeaderLength looks for headers that reach beyond their packet.
func FuzzHeaderLength(f *testing.F) {
	f.Add(append([]byte{0x92, 0x60, 0, 1}, make([]byte, 60)...))
	f.Add(append([]byte{0x8f, 0x60, 0, 1}, make([]byte, 24)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := headerLength(b); ok && (n < headerBytes || n+tagBytes > len(b)) {
			t.Errorf("header of %d in %d bytes", n, len(b))
		}
	})
}
