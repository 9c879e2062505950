package transport

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/pion/rtp"
)

// same is h as pion has it.
func same(h *header) *rtp.Header {
	p := &rtp.Header{
		Version: 2, Padding: h.padding, Marker: h.marker, PayloadType: h.payloadType,
		SequenceNumber: h.sequence, Timestamp: h.timestamp, SSRC: h.ssrc,
	}
	if h.transportCC != 0 {
		_ = p.SetExtension(h.transportCC, binary.BigEndian.AppendUint16(nil, h.transport))
	}
	return p
}

func TestHeaderIsPions(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		h := header{
			padding: random.IntN(2) == 0, marker: random.IntN(2) == 0, payloadType: uint8(random.IntN(128)),
			sequence: uint16(random.Uint32()), timestamp: random.Uint32(), ssrc: random.Uint32(),
			transportCC: uint8(random.IntN(15)), transport: uint16(random.Uint32()),
		}
		want, err := same(&h).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Repeat([]byte{0xff}, headerBytes+extensionBytes)
		if got = got[:h.put(got)]; !bytes.Equal(got, want) {
			t.Fatalf("%+v: %x, want %x", h, got, want)
		}
	}
}

func BenchmarkHeader(b *testing.B) {
	h := header{payloadType: 96, sequence: 1, timestamp: 2, ssrc: 3, transportCC: 5, transport: 6}
	buf := make([]byte, headerBytes+extensionBytes)
	b.Run("ours", func(b *testing.B) {
		for range b.N {
			h.put(buf)
		}
	})
	b.Run("pion", func(b *testing.B) {
		p, number := same(&h), []byte{0, 6}
		for range b.N {
			_ = p.SetExtension(h.transportCC, number)
			_, _ = p.MarshalSize(), h
			_, _ = p.MarshalTo(buf)
		}
	})
}
