package bench

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/signaling/wire"
)

const historyPackets = 512 // of one encoding, for retransmission: 8 s of a camera at 60 packets/s

// encoding is one encoding of a published track: a webrtc.TrackLocal that numbers packets, keeps
// them, and sends them again as RTX. pion's own NACK responder is not used, because it marks RTX
// with the RID where RFC 8852 section 3 wants the repaired RID.
type encoding struct {
	id, stream string
	source     wire.Source
	rid        string
	kind       webrtc.RTPCodecType
	clockRate  uint32

	mu      sync.Mutex
	bound   bool
	writer  webrtc.TrackLocalWriter
	ssrc    uint32
	rtxSSRC uint32
	pt      uint8
	rtxPT   uint8
	ids     extensionIDs
	mid     string
	numbers numbering
	sent    [historyPackets]sentPacket
	report  SentReport
}

// numbering is the state of an encoding's RTP headers.
type numbering struct {
	sequence, rtxSequence uint16
	base                  uint32    // RTP timestamp of epoch
	epoch                 time.Time // the first packet's
	lastTimestamp         uint32
	octets                uint32
}

// sentPacket is one packet kept for retransmission.
type sentPacket struct {
	used    bool
	header  rtp.Header
	payload []byte
}

// extensionIDs are the negotiated header extension ids, 0 for not negotiated.
type extensionIDs struct{ mid, rid, repairedRID, level uint8 }

var errNoCodec = errors.New("bench: no codec negotiated")

// Bind implements webrtc.TrackLocal.
func (e *encoding) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	codecs := c.CodecParameters()
	if len(codecs) == 0 {
		return webrtc.RTPCodecParameters{}, errNoCodec
	}
	chosen := codecs[0]
	e.bound, e.writer, e.ssrc, e.rtxSSRC = true, c.WriteStream(), uint32(c.SSRC()), uint32(c.SSRCRetransmission())
	e.pt = uint8(chosen.PayloadType)
	e.report.SSRC = e.ssrc
	for _, codec := range codecs {
		if strings.EqualFold(codec.MimeType, webrtc.MimeTypeRTX) && codec.SDPFmtpLine == "apt="+strconv.Itoa(int(e.pt)) {
			e.rtxPT = uint8(codec.PayloadType)
		}
	}
	for _, x := range c.HeaderExtensions() {
		switch x.URI {
		case sdp.SDESMidURI:
			e.ids.mid = uint8(x.ID)
		case sdp.SDESRTPStreamIDURI:
			e.ids.rid = uint8(x.ID)
		case sdp.SDESRepairRTPStreamIDURI:
			e.ids.repairedRID = uint8(x.ID)
		case sdp.AudioLevelURI:
			e.ids.level = uint8(x.ID)
		}
	}
	return chosen, nil
}

// Unbind implements webrtc.TrackLocal.
func (e *encoding) Unbind(webrtc.TrackLocalContext) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bound = false
	return nil
}

// ID implements webrtc.TrackLocal.
func (e *encoding) ID() string { return e.id }

// RID implements webrtc.TrackLocal.
func (e *encoding) RID() string { return e.rid }

// StreamID implements webrtc.TrackLocal.
func (e *encoding) StreamID() string { return e.stream }

// Kind implements webrtc.TrackLocal.
func (e *encoding) Kind() webrtc.RTPCodecType { return e.kind }

// send sends one frame, captured at now. level is the audio level (RFC 6464), ignored for video.
func (e *encoding) send(now time.Time, packets []payload, level uint8) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.bound {
		return nil
	}
	ts := e.timestamp(now)
	e.numbers.lastTimestamp = ts
	e.report.Frames++
	var errs []error
	for _, p := range packets {
		h := rtp.Header{
			Version: 2, Marker: p.marker, PayloadType: e.pt, SequenceNumber: e.numbers.sequence, Timestamp: ts, SSRC: e.ssrc,
		}
		e.numbers.sequence++
		if err := e.extend(&h, e.ids.rid, level); err != nil {
			return err
		}
		e.sent[h.SequenceNumber%historyPackets] = sentPacket{used: true, header: h.Clone(), payload: p.data}
		e.report.Packets++
		e.numbers.octets += uint32(len(p.data))
		_, err := e.writer.WriteRTP(&h, p.data)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// timestamp is the RTP timestamp of now, from a base that the seed chose.
func (e *encoding) timestamp(now time.Time) uint32 {
	if e.numbers.epoch.IsZero() {
		e.numbers.epoch = now
	}
	elapsed := now.Sub(e.numbers.epoch)
	return e.numbers.base + uint32(int64(elapsed)*int64(e.clockRate)/int64(time.Second))
}

// extend writes the header extensions that browsers write; ridID is rid's or repairedRID's.
func (e *encoding) extend(h *rtp.Header, ridID, level uint8) error {
	var errs []error
	if e.ids.mid != 0 && e.mid != "" {
		errs = append(errs, h.SetExtension(e.ids.mid, []byte(e.mid)))
	}
	if ridID != 0 && e.rid != "" {
		errs = append(errs, h.SetExtension(ridID, []byte(e.rid)))
	}
	if e.kind == webrtc.RTPCodecTypeAudio && e.ids.level != 0 {
		errs = append(errs, h.SetExtension(e.ids.level, []byte{0x80 | level}))
	}
	return errors.Join(errs...)
}

// resend answers a NACK.
func (e *encoding) resend(sequences []uint16) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report.Nacked += uint64(len(sequences))
	var errs []error
	for _, s := range sequences {
		kept := e.sent[s%historyPackets]
		if !e.bound || !kept.used || kept.header.SequenceNumber != s {
			continue
		}
		e.report.Resent++
		errs = append(errs, e.writeRTX(kept))
	}
	return errors.Join(errs...)
}

// probe sends n packets again, from the one that was sent back packets ago, as RTX though nobody
// asked, as Chromium does to probe for bandwidth (measured 2026-11-22: three to six times the
// packets of the lowest layer).
func (e *encoding) probe(back, n int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for ; back > 0 && n > 0; back, n = back-1, n-1 {
		sequence := e.numbers.sequence - uint16(back)
		kept := e.sent[sequence%historyPackets]
		if !e.bound || !kept.used || kept.header.SequenceNumber != sequence {
			continue
		}
		e.report.Probes++
		errs = append(errs, e.writeRTX(kept))
	}
	return errors.Join(errs...)
}

// writeRTX sends a packet again in the form of RFC 4588, or as it was where no RTX was negotiated.
func (e *encoding) writeRTX(kept sentPacket) error {
	h := kept.header.Clone()
	if e.rtxPT == 0 || e.rtxSSRC == 0 {
		_, err := e.writer.WriteRTP(&h, kept.payload)
		return err
	}
	body := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(kept.payload)), h.SequenceNumber)
	h = rtp.Header{
		Version: 2, Marker: h.Marker, PayloadType: e.rtxPT, SequenceNumber: e.numbers.rtxSequence, Timestamp: h.Timestamp, SSRC: e.rtxSSRC,
	}
	e.numbers.rtxSequence++
	if err := e.extend(&h, e.ids.repairedRID, 0); err != nil {
		return err
	}
	_, err := e.writer.WriteRTP(&h, append(body, kept.payload...))
	return err
}

// padding sends n packets with nothing but padding on the media SSRC, as Chromium does where no RTX
// is negotiated.
func (e *encoding) padding(n int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for range n {
		if !e.bound {
			return nil
		}
		h := rtp.Header{
			Version: 2, Padding: true, PaddingSize: 255, PayloadType: e.pt, SequenceNumber: e.numbers.sequence,
			Timestamp: e.numbers.lastTimestamp, SSRC: e.ssrc,
		}
		e.numbers.sequence++
		if err := e.extend(&h, e.ids.rid, 0); err != nil {
			return err
		}
		_, err := e.writer.WriteRTP(&h, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// senderReport describes the encoding at now (RFC 3550 section 6.4.1); nil before the first packet.
func (e *encoding) senderReport(now time.Time) *rtcp.SenderReport {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.bound || e.report.Packets == 0 {
		return nil
	}
	const ntpEpoch = 2208988800 // seconds from 1900 to 1970
	fraction := (uint64(now.Nanosecond()) << 32) / uint64(time.Second)
	return &rtcp.SenderReport{
		SSRC: e.ssrc, NTPTime: uint64(now.Unix()+ntpEpoch)<<32 | fraction, RTPTime: e.timestamp(now),
		PacketCount: uint32(e.report.Packets), OctetCount: e.numbers.octets,
	}
}

// setMid tells the encoding the m-line it is sent on.
func (e *encoding) setMid(mid string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mid = mid
	e.report.Mid = mid
}

// snapshot returns the accounts so far.
func (e *encoding) snapshot() SentReport {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.report
}

// flood sends one small packet on each of n SSRCs that nobody announced.
func (e *encoding) flood(n int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range n {
		if !e.bound {
			return nil
		}
		h := rtp.Header{Version: 2, PayloadType: e.pt, SSRC: e.ssrc + 1 + uint32(i)}
		if _, err := e.writer.WriteRTP(&h, []byte{0, 0}); err != nil {
			return err
		}
	}
	return nil
}
