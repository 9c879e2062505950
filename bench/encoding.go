package bench

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/bedside-video/bedside/signaling/wire"
)

const historyPackets = 512 // of one encoding, for retransmission: 8 s of a camera at 60 packets/s

// encoding is one encoding of a published track: it numbers packets, keeps them, and sends them again
// as RTX. pion's own NACK responder is not used, because it marks RTX with the RID where RFC 8852
// section 3 wants the repaired RID.
type encoding struct {
	stream    string
	source    wire.Source
	rid       string
	ridBytes  []byte
	video     bool
	clockRate uint32
	// redundancy is how many earlier packets each carries where RED is negotiated.
	redundancy int
	carry      []uint16 // which they are, if the server has said it

	mu      sync.Mutex
	bound   bool
	to      binding
	mid     []byte
	level   [1]byte // what the header extension of the packet being written says
	numbers numbering
	sent    [historyPackets]sentPacket
	report  SentReport // since the start
	marked  SentReport // report as it was at mark
	header  rtp.Header // of the packet being written
	body    []byte     // of the RTX packet being written
	traffic Traffic    // sent
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
	used      bool
	marker    bool
	level     uint8
	sequence  uint16
	timestamp uint32
	payload   []byte
}

// bind lets the encoding send.
func (e *encoding) bind(b binding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bound, e.to = true, b
	e.report.SSRC = b.ssrc
}

// unbind stops it.
func (e *encoding) unbind() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bound = false
}

// send sends one frame, captured at now. level is the audio level (RFC 6464), ignored for video.
// It keeps the packets' data, and gives back through free that of packets which it kept before.
func (e *encoding) send(now time.Time, packets []payload, level uint8, free func([]byte)) error {
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
		kept := &e.sent[e.numbers.sequence%historyPackets]
		if kept.payload != nil {
			free(kept.payload)
		}
		*kept = sentPacket{
			used: true, marker: p.marker, level: level, sequence: e.numbers.sequence, timestamp: ts, payload: p.data,
		}
		e.numbers.sequence++
		e.report.Packets++
		e.numbers.octets += uint32(len(p.data))
		if err := e.write(*kept); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, e.to.writer.Flush())
	return errors.Join(errs...)
}

// write writes a packet as it is sent first.
func (e *encoding) write(p sentPacket) error {
	h := &e.header
	h.Version, h.Padding, h.PaddingSize = 2, false, 0
	h.Marker, h.PayloadType, h.SequenceNumber, h.Timestamp, h.SSRC = p.marker, e.to.pt, p.sequence, p.timestamp, e.to.ssrc
	if err := e.extend(h, e.to.ids.rid, p.level); err != nil {
		return err
	}
	payload := p.payload
	if e.redundancy > 0 && e.to.redPT != 0 {
		h.PayloadType, payload = e.to.redPT, e.redundant(p)
	}
	e.traffic.sent(len(payload))
	_, err := e.to.writer.WriteRTP(h, payload)
	return err
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
	h.Extension, h.Extensions = false, h.Extensions[:0]
	if e.to.ids.mid != 0 && len(e.mid) > 0 {
		if err := h.SetExtension(e.to.ids.mid, e.mid); err != nil {
			return err
		}
	}
	if ridID != 0 && len(e.ridBytes) > 0 {
		if err := h.SetExtension(ridID, e.ridBytes); err != nil {
			return err
		}
	}
	if !e.video && e.to.ids.level != 0 {
		e.level[0] = 0x80 | level
		return h.SetExtension(e.to.ids.level, e.level[:])
	}
	return nil
}

// resend answers a NACK.
func (e *encoding) resend(sequences []uint16) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report.Nacked += uint64(len(sequences))
	var errs []error
	for _, s := range sequences {
		kept := e.sent[s%historyPackets]
		if !e.bound || !kept.used || kept.sequence != s {
			continue
		}
		e.report.Resent++
		errs = append(errs, e.writeRTX(kept))
	}
	return errors.Join(append(errs, e.flush())...)
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
		if !e.bound || !kept.used || kept.sequence != sequence {
			continue
		}
		e.report.Probes++
		errs = append(errs, e.writeRTX(kept))
	}
	return errors.Join(append(errs, e.flush())...)
}

// flush sends what was written; the caller holds mu.
func (e *encoding) flush() error {
	if !e.bound {
		return nil
	}
	return e.to.writer.Flush()
}

// writeRTX sends a packet again in the form of RFC 4588, or as it was where no RTX was negotiated.
func (e *encoding) writeRTX(kept sentPacket) error {
	if e.to.rtxPT == 0 || e.to.rtxSSRC == 0 {
		return e.write(kept)
	}
	e.body = append(binary.BigEndian.AppendUint16(e.body[:0], kept.sequence), kept.payload...)
	h := &e.header
	h.Version, h.Padding, h.PaddingSize = 2, false, 0
	h.Marker, h.PayloadType, h.SequenceNumber = kept.marker, e.to.rtxPT, e.numbers.rtxSequence
	h.Timestamp, h.SSRC = kept.timestamp, e.to.rtxSSRC
	e.numbers.rtxSequence++
	if err := e.extend(h, e.to.ids.repairedRID, 0); err != nil {
		return err
	}
	e.traffic.sent(len(e.body))
	_, err := e.to.writer.WriteRTP(h, e.body)
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
			Version: 2, Padding: true, PaddingSize: 255, PayloadType: e.to.pt, SequenceNumber: e.numbers.sequence,
			Timestamp: e.numbers.lastTimestamp, SSRC: e.to.ssrc,
		}
		e.numbers.sequence++
		if err := e.extend(&h, e.to.ids.rid, 0); err != nil {
			return err
		}
		_, err := e.to.writer.WriteRTP(&h, nil)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, e.flush())...)
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
		SSRC: e.to.ssrc, NTPTime: uint64(now.Unix()+ntpEpoch)<<32 | fraction, RTPTime: e.timestamp(now),
		PacketCount: uint32(e.report.Packets), OctetCount: e.numbers.octets,
	}
}

// setMid tells the encoding the m-line it is sent on.
func (e *encoding) setMid(mid string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mid = []byte(mid)
	e.report.Mid = mid
}

// snapshot returns the accounts since mark.
func (e *encoding) snapshot() SentReport {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.report.since(e.marked)
}

// mark starts the accounts anew. What sender reports tell is not among them: it counts from the start.
func (e *encoding) mark() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.marked = e.report
}

// flood sends one small packet on each of n SSRCs that nobody announced.
func (e *encoding) flood(n int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range n {
		if !e.bound {
			return nil
		}
		h := rtp.Header{Version: 2, PayloadType: e.to.pt, SSRC: e.to.ssrc + 1 + uint32(i)}
		if _, err := e.to.writer.WriteRTP(&h, []byte{0, 0}); err != nil {
			return err
		}
	}
	return e.flush()
}
