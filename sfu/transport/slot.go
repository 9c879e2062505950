package transport

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

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

	conn  *Conn
	bound atomic.Pointer[binding] // nil until pion has negotiated the m-line
	media outgoing
	rtx   outgoing
}

// binding is what pion settled for a slot. Immutable.
type binding struct {
	writer       webrtc.TrackLocalWriter
	ssrc, rtx    uint32
	payloadTypes [codecs]uint8 // 0: the client cannot take this codec
	rtxTypes     [codecs]uint8
	transportCC  uint8
}

// outgoing is a header that is re-used from packet to packet, with room for the extension.
type outgoing struct {
	header      rtp.Header
	transportCC [2]byte
}

// Outgoing is what a slot sends beside its payload.
type Outgoing struct {
	Codec     codec.Name
	Seq       uint16
	Timestamp uint32
	Marker    bool
}

// Takes tells whether the client can decode c in this slot.
func (s *Slot) Takes(c codec.Name) bool {
	b := s.bound.Load()
	return b != nil && b.payloadTypes[c] != 0
}

// SSRC of the slot's media; 0 until negotiated.
func (s *Slot) SSRC() uint32 {
	if b := s.bound.Load(); b != nil {
		return b.ssrc
	}
	return 0
}

// Write protects and sends one packet. payload is copied before Write returns.
func (s *Slot) Write(o Outgoing, payload []byte) error {
	b := s.bound.Load()
	if b == nil || b.payloadTypes[o.Codec] == 0 {
		return nil
	}
	return s.send(b, &s.media, b.ssrc, b.payloadTypes[o.Codec], o, payload)
}

// WriteRTX sends a retransmission (RFC 4588): payload begins with the original sequence number,
// o.Seq counts retransmissions. Where the client has not negotiated RTX nothing is sent: repeating
// a packet on the media SSRC would look like a replay to SRTP.
func (s *Slot) WriteRTX(o Outgoing, payload []byte) error {
	b := s.bound.Load()
	if b == nil || b.rtx == 0 || b.rtxTypes[o.Codec] == 0 {
		return nil
	}
	return s.send(b, &s.rtx, b.rtx, b.rtxTypes[o.Codec], o, payload)
}

func (s *Slot) send(b *binding, out *outgoing, ssrc uint32, pt uint8, o Outgoing, payload []byte) error {
	h := &out.header
	h.Version, h.SSRC, h.PayloadType = 2, ssrc, pt
	h.SequenceNumber, h.Timestamp, h.Marker = o.Seq, o.Timestamp, o.Marker
	if b.transportCC != 0 {
		n := s.conn.transportSeq.Add(1)
		out.transportCC = [2]byte{byte(n >> 8), byte(n)}
		if err := h.SetExtension(b.transportCC, out.transportCC[:]); err != nil {
			return err
		}
	}
	_, err := b.writer.WriteRTP(h, payload)
	return err
}

// slotTrack shows a Slot to pion as a webrtc.TrackLocal.
type slotTrack struct{ *Slot }

// Bind is called by pion when the m-line has been negotiated, once.
func (s slotTrack) Bind(t webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	b := &binding{writer: t.WriteStream(), ssrc: uint32(t.SSRC()), rtx: uint32(t.SSRCRetransmission())}
	for _, x := range t.HeaderExtensions() {
		if x.URI == extTransportCC {
			b.transportCC = uint8(x.ID)
		}
	}
	parameters := t.CodecParameters()
	for _, p := range parameters {
		name, ok := codec.ParseName(p.MimeType)
		if !ok || b.payloadTypes[name] != 0 {
			continue
		}
		b.payloadTypes[name] = uint8(p.PayloadType)
		apt := fmt.Sprintf("apt=%d", p.PayloadType)
		for _, x := range parameters {
			if strings.EqualFold(x.MimeType, webrtc.MimeTypeRTX) && x.SDPFmtpLine == apt {
				b.rtxTypes[name] = uint8(x.PayloadType)
			}
		}
	}
	s.bound.Store(b)
	if len(parameters) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	return parameters[0], nil
}

// Unbind is called by pion when the connection closes.
func (s slotTrack) Unbind(webrtc.TrackLocalContext) error { return nil }

// ID names the track in the answer's msid.
func (s slotTrack) ID() string { return s.Slot.Kind.String() + strconv.Itoa(s.Index) }

// RID is empty: the server sends no simulcast.
func (s slotTrack) RID() string { return "" }

// StreamID is shared by the audio and the video slot of one index, which hold the same person:
// browsers synchronise the tracks of one stream.
func (s slotTrack) StreamID() string { return "slot" + strconv.Itoa(s.Index) }

// Kind of the track.
func (s slotTrack) Kind() webrtc.RTPCodecType {
	if s.Slot.Kind == codec.Audio {
		return webrtc.RTPCodecTypeAudio
	}
	return webrtc.RTPCodecTypeVideo
}
