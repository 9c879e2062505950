package transport

import (
	"sync/atomic"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Slot is one m-line that the client receives on. Its SSRC is the same for as long as the
// connection lives: a browser does not show a new one (measured 2026-11-22).
//
// Write and WriteRTX of one slot must not run at the same time; their caller's lock sees to that.
type Slot struct {
	Mid   string
	Kind  codec.Kind
	Index int // among the slots of its kind: audio and video slots of one index share a stream id

	conn          *Conn
	ssrc, rtxSSRC uint32
	bound         atomic.Pointer[binding] // what the client takes, as of the last offer
	media         outgoing
	rtx           outgoing
	kept          *[keptPackets]keptPacket // to be repeated; nil where nothing is

	packets, octets uint32 // that have left, as Sent has it; guarded by conn.out.mu
}

// outgoing is one SSRC that is sent.
type outgoing struct {
	payloadType uint8 // of the last packet
	once        once
}

// binding is what an offer says of a slot. Immutable.
type binding struct {
	payloadTypes [codecs]uint8 // 0: the client cannot take this codec
	rtxTypes     [codecs]uint8
	red          uint8 // of RED over Opus; 0: the client cannot take it
	repeats      bool  // the client asks for audio that is lost
	transportCC  uint8
}

// Outgoing is what a slot sends beside its payload.
type Outgoing struct {
	Codec     codec.Name
	Seq       uint16 // never the same twice
	Timestamp uint32
	Marker    bool
	Blocks    int       // the payload is RED (codec.AppendRED) with so many earlier ones
	At        time.Time // now; zero: the connection looks
}

// MaxPadding is the most padding that one packet holds (RFC 3550 section 5.1: a byte tells how much).
const MaxPadding = 255

// padding is the end of a packet that is nothing else: zeros, and how many they are with this byte.
var padding = [MaxPadding]byte{MaxPadding - 1: MaxPadding}

// Pad sends a packet of MaxPadding bytes of padding on the SSRC of retransmissions, where receivers look
// for probes: without an original sequence number it repairs nothing. seq counts retransmissions. It
// tells whether the client can be probed so.
func (s *Slot) Pad(seq uint16, timestamp uint32) bool {
	b := s.bound.Load()
	for _, pt := range b.rtxTypes {
		if pt == 0 {
			continue
		}
		err := s.send(&s.rtx, stuffing, b, header{padding: true, ssrc: s.rtxSSRC, payloadType: pt}, Outgoing{Seq: seq, Timestamp: timestamp}, padding[:])
		return err == nil && b.transportCC != 0
	}
	return false
}

// bind takes over what an offer says.
func (s *Slot) bind(l offeredLine, ids extensionIDs) {
	b := &binding{transportCC: ids.transportCC, repeats: l.Repeats}
	for _, f := range l.formats {
		b.payloadTypes[f.codec], b.rtxTypes[f.codec] = f.pt, f.rtx
		if f.red != 0 {
			b.red = f.red
		}
	}
	s.bound.Store(b)
}

// Takes tells whether the client can decode c in this slot.
func (s *Slot) Takes(c codec.Name) bool { return s.bound.Load().payloadTypes[c] != 0 }

// TakesRED tells whether the client can undo RED in this slot.
func (s *Slot) TakesRED() bool { return s.bound.Load().red != 0 }

// Repeats tells whether the client asks for audio that it lost.
func (s *Slot) Repeats() bool { return s.bound.Load().repeats }

// SSRC of the slot's media.
func (s *Slot) SSRC() uint32 { return s.ssrc }

// Write protects and sends one packet. payload is copied before Write returns; of RED, Write sets the
// type of the blocks in it. Pictures may have to wait for Release; ErrFull tells that too many do.
func (s *Slot) Write(o Outgoing, payload []byte) error {
	b := s.bound.Load()
	k := picture
	if s.Kind == codec.Audio {
		k = sound
	}
	if o.Blocks > 0 {
		codec.SetREDType(payload, o.Blocks, b.payloadTypes[o.Codec])
		return s.send(&s.media, k, b, header{ssrc: s.ssrc, payloadType: b.red}, o, payload)
	}
	return s.send(&s.media, k, b, header{ssrc: s.ssrc, payloadType: b.payloadTypes[o.Codec]}, o, payload)
}

// WriteRTX sends a retransmission (RFC 4588): payload begins with the original sequence number,
// o.Seq counts retransmissions. Where the client has not negotiated RTX nothing is sent: repeating
// a packet on the media SSRC would look like a replay to SRTP.
func (s *Slot) WriteRTX(o Outgoing, payload []byte) error {
	b := s.bound.Load()
	return s.send(&s.rtx, repair, b, header{ssrc: s.rtxSSRC, payloadType: b.rtxTypes[o.Codec]}, o, payload)
}

// send completes h with what o and the offer say of a packet.
func (s *Slot) send(out *outgoing, k kind, b *binding, h header, o Outgoing, payload []byte) error {
	if h.ssrc == 0 || h.payloadType == 0 {
		return nil
	}
	index, ok := out.once.take(o.Seq)
	if !ok {
		return nil
	}
	out.payloadType = h.payloadType
	h.sequence, h.timestamp, h.marker, h.transportCC = o.Seq, o.Timestamp, o.Marker, b.transportCC
	return s.conn.send(o.At, s, k, &h, index, payload, s.keep(b, o.Seq))
}
