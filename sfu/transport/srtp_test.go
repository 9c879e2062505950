package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// established is a connection with keys, as after a handshake, and what its client protects with and
// opens with.
type established struct {
	*Conn
	port       *nowhere
	seal, open *srtp.Context
}

var clientAddress = netip.MustParseAddrPort("203.0.113.5:5000")

func establish(t testing.TB, h Handler) *established {
	t.Helper()
	c, p := openConn(t, h)
	if _, err := c.Answer(context.Background(), chromium(t), anything); err != nil {
		t.Fatal(err)
	}
	make1 := func(first byte, o ...srtp.ContextOption) *srtp.Context {
		key := make([]byte, 28)
		key[0] = first
		x, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAeadAes128Gcm, o...)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	ours := func(first byte, derive func(key, salt []byte) (*gcm, error)) *gcm {
		key := make([]byte, 28)
		key[0] = first
		g, err := derive(key[:16], key[16:])
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	c.in.setContext(make1(1, srtp.SRTPReplayProtection(srtpReplayWindow), srtp.SRTCPReplayProtection(srtcpReplayWindow)), ours(1, newGCM), ours(1, newControlGCM))
	c.out.context, c.out.gcm, c.out.controls = make1(2), ours(2, newGCM), ours(2, newControlGCM)
	c.path.Store(&clientAddress)
	c.setEstablished()
	return &established{Conn: c, port: p, seal: make1(1), open: make1(2)}
}

// send protects one RTP packet and has it received.
func (e *established) send(t testing.TB, b []byte) {
	t.Helper()
	sealed, err := e.seal.EncryptRTP(nil, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.receive(sealed)
}

// as gives a packet another SSRC.
func as(ssrc uint32, b []byte) []byte {
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

func TestMediaIsOpened(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	for seq := range uint16(3) {
		e.send(t, packet(96, seq, vp8, 4, "1", 10, "h"))
	}
	sealed, err := e.seal.EncryptRTP(nil, packet(96, 3, vp8), nil)
	if err != nil {
		t.Fatal(err)
	}
	replayed, flipped := slices.Clone(sealed), slices.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	e.receive(flipped)
	e.receive(sealed)
	e.receive(replayed)
	e.receive([]byte{0x80, 0})
	e.receive(nil)
	want := make([]string, 4)
	for i := range want {
		want[i] = fmt.Sprint("VP8 seq ", i, " payload 7 repaired false")
	}
	if !slices.Equal(r.packets, want) {
		t.Errorf("got %q, want %q", r.packets, want)
	}
}

func TestNothingBeforeTheHandshakeAndAfterClose(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	keys, opener, controls := e.in.context, e.in.gcm, e.in.controls
	e.in.setContext(nil, nil, nil)
	e.send(t, packet(96, 1, vp8, 4, "1", 10, "h"))
	e.in.setContext(keys, opener, controls)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e.send(t, packet(96, 2, vp8, 4, "1", 10, "h"))
	if len(r.packets) != 0 || len(e.port.agents) != 0 {
		t.Errorf("got %q, the port still knows %d agents", r.packets, len(e.port.agents))
	}
	if _, err := e.Answer(context.Background(), chromium(t), anything); !errors.Is(err, ErrClosed) {
		t.Error("a closed connection answers")
	}
}

func TestTooManyStreams(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	for ssrc := range uint32(1000) {
		e.send(t, as(ssrc, packet(96, 1, vp8, 4, "1", 10, fmt.Sprint(ssrc))))
	}
	if r.tooMany != 1 {
		t.Errorf("told %d times, want once", r.tooMany)
	}
	if len(r.packets) != 16 || len(e.in.streams) != 16 {
		t.Errorf("%d packets came through, %d streams are kept, want those of the first 16", len(r.packets), len(e.in.streams))
	}
}

func TestRTCP(t *testing.T) {
	r := &recorder{}
	e := establish(t, r)
	send := func(sender uint32) {
		t.Helper()
		plain, err := rtcp.Marshal([]rtcp.Packet{
			&rtcp.ReceiverReport{SSRC: sender, Reports: []rtcp.ReceptionReport{{SSRC: 1}, {SSRC: 2}, {SSRC: 3}}},
			&rtcp.PictureLossIndication{SenderSSRC: sender, MediaSSRC: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := e.seal.EncryptRTCP(nil, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		e.receive(sealed)
	}
	send(7)
	if len(r.packets) != 2 {
		t.Errorf("a compound of 2 was handed over as %d", len(r.packets))
	}
	for sender := range uint32(1000) {
		send(sender)
	}
	if r.tooMany != 1 || len(e.in.senders) != maxRTCPSenders {
		t.Errorf("told %d times, %d senders are kept", r.tooMany, len(e.in.senders))
	}
}

func TestSlotsSend(t *testing.T) {
	e := establish(t, &recorder{})
	slot := e.negotiation.slots[2] // the first of video
	if err := slot.Write(Outgoing{Codec: codec.VP8, Seq: 65535, Timestamp: 9, Marker: true}, []byte(vp8)); err != nil {
		t.Fatal(err)
	}
	if err := slot.WriteRTX(Outgoing{Codec: codec.VP8, Seq: 1, Timestamp: 9}, []byte("\xff\xff"+vp8)); err != nil {
		t.Fatal(err)
	}
	if err := slot.Write(Outgoing{Codec: codec.Opus}, []byte("sound")); err != nil {
		t.Fatal(err)
	}
	if err := slot.Write(Outgoing{Codec: codec.VP8}, make([]byte, maxPacket)); !errors.Is(err, errTooLarge) {
		t.Errorf("too large a packet: %v", err)
	}
	if err := e.WriteRTCP(&rtcp.PictureLossIndication{MediaSSRC: 5}); err != nil {
		t.Fatal(err)
	}
	if len(e.port.sent) != 3 {
		t.Fatalf("%d datagrams, want 3: a video slot takes no audio", len(e.port.sent))
	}
	for i, want := range []struct {
		ssrc    uint32
		pt      uint8
		payload string
	}{{slot.ssrc, 96, vp8}, {slot.rtxSSRC, 97, "\xff\xff" + vp8}} {
		plain, err := e.open.DecryptRTP(nil, e.port.sent[i], nil)
		if err != nil {
			t.Fatal(err)
		}
		var p codec.Packet
		if err := p.Parse(plain); err != nil {
			t.Fatal(err)
		}
		if x := p.Extension(3); p.SSRC != want.ssrc || p.PayloadType != want.pt || string(p.Payload) != want.payload || len(x) != 2 || x[1] != byte(i+1) {
			t.Errorf("packet %d: SSRC %d, type %d, payload %q, transport-wide %v", i, p.SSRC, p.PayloadType, p.Payload, x)
		}
	}
	if _, err := e.open.DecryptRTCP(nil, e.port.sent[2], nil); err != nil {
		t.Error(err)
	}
}

// Padding is RTX without an original sequence number, and what is sent is known when feedback tells of it.
func TestPadding(t *testing.T) {
	e := establish(t, &recorder{})
	if slot := e.negotiation.slots[0]; slot.Pad(1, 0) {
		t.Error("an audio slot has no retransmissions")
	}
	slot := e.negotiation.slots[2]
	e.MarkProbe(7, 0)
	if !slot.Pad(1, 9) {
		t.Fatal("a video slot takes no padding")
	}
	e.MarkProbe(0, 0)
	if err := slot.Write(Outgoing{Codec: codec.VP8, Seq: 65535, Timestamp: 9}, []byte(vp8)); err != nil {
		t.Fatal(err)
	}
	plain, err := e.open.DecryptRTP(nil, e.port.sent[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	var p rtp.Packet
	if err := p.Unmarshal(plain); err != nil {
		t.Fatal(err)
	}
	if p.SSRC != slot.rtxSSRC || p.PayloadType != 97 || len(p.Payload) != 0 || !p.Padding || p.PaddingSize != MaxPadding {
		t.Errorf("padding: %v, %d bytes of payload, %d of padding", p.Header, len(p.Payload), p.PaddingSize)
	}
	var media rtp.Packet
	if plain, err = e.open.DecryptRTP(nil, e.port.sent[1], nil); err != nil {
		t.Fatal(err)
	}
	if err := media.Unmarshal(plain); err != nil || media.Padding {
		t.Errorf("media after padding: %v, %v", media.Header, err)
	}
	if got := e.Outbound(); got.Bytes != uint64(len(e.port.sent[0])+len(e.port.sent[1])+2*ipOverhead) || got.Waiting.IsZero() || !got.Tracked {
		t.Errorf("outbound: %+v", got)
	}
	acks := e.Acknowledge(&twcc.Feedback{Base: 1, Packets: []twcc.Packet{{Came: true, Delta: 1}, {Came: true, Delta: 2}}}, nil)
	if len(acks) != 2 || acks[0].Probe != 7 || acks[1].Probe != 0 || acks[0].Fate != bwe.Received || acks[1].Arrived-acks[0].Arrived != 500*time.Microsecond {
		t.Errorf("acknowledged: %+v", acks)
	}
	if got := e.Outbound(); !got.Waiting.IsZero() {
		t.Errorf("still waiting: %+v", got)
	}
}

// drop is a Port that sends nothing and keeps nothing.
type drop struct{ Port }

func (drop) Forget(string)                      {}
func (drop) Write([]byte, netip.AddrPort) error { return nil }

// sunk takes packets without looking at them.
type sunk struct{ recorder }

func (*sunk) Open(string, string) Sink                       { return &sunk{} }
func (*sunk) RTP(time.Time, codec.Name, *codec.Packet, bool) {}
func (*sunk) RTCP(time.Time, rtcp.Packet)                    {}
func (*sunk) Feedback(time.Time, *twcc.Feedback)             {}

// One packet in and one out allocate nothing.
func TestPacketsAllocateNothing(t *testing.T) {
	e := establish(t, &sunk{})
	e.engine.o.Port = drop{}
	slot := e.negotiation.slots[2]
	payload := make([]byte, 1000)
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		_ = slot.Write(Outgoing{Codec: codec.VP8, Seq: seq}, payload)
	}); n != 0 {
		t.Errorf("sending a packet allocates %v times", n)
	}
	const packets = 1001
	var sealed [packets][]byte
	for i := range sealed {
		b, err := e.seal.EncryptRTP(nil, packet(96, uint16(i), vp8, 4, "1", 10, "h"), nil)
		if err != nil {
			t.Fatal(err)
		}
		sealed[i] = b
	}
	e.receive(sealed[0]) // opens the stream
	i := 0
	if n := testing.AllocsPerRun(packets-2, func() {
		i++
		e.receive(sealed[i])
	}); n != 0 {
		t.Errorf("receiving a packet allocates %v times", n)
	}
}

func BenchmarkPacketOut(b *testing.B) {
	e := establish(b, &sunk{})
	e.engine.o.Port = drop{}
	slot := e.negotiation.slots[2]
	payload := make([]byte, 1000)
	seq := uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		_ = slot.Write(Outgoing{Codec: codec.VP8, Seq: seq}, payload)
	}
}

// FuzzReceive: whatever a client with the right keys seals, and whatever anybody sends from its address,
// nothing panics, and no more streams are kept than the limit.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0x80, 200, 0, 1, 0, 0, 0, 1}, true)
	f.Add(packet(96, 1, vp8, 4, "1", 10, "h"), true)
	f.Add(packet(97, 1, "\x00\x05"+vp8, 4, "1", 11, "h"), true)
	f.Add([]byte{0x80, 96}, false)
	e := establish(f, &sunk{})
	f.Fuzz(func(t *testing.T, b []byte, keys bool) {
		if keys {
			var sealed []byte
			var err error
			if isRTCP(b) {
				sealed, err = e.seal.EncryptRTCP(nil, b, nil)
			} else {
				sealed, err = e.seal.EncryptRTP(nil, b, nil)
			}
			if err != nil {
				return
			}
			b = sealed
		}
		e.receive(b)
		if len(e.in.streams) > 16 || len(e.in.senders) > maxRTCPSenders || len(e.in.sinks) > 16 {
			t.Fatalf("%d streams, %d senders, %d sinks", len(e.in.streams), len(e.in.senders), len(e.in.sinks))
		}
	})
}
