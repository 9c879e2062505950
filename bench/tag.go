package bench

import (
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// TagBytes is the length of an encoded Tag. That of a voice is shorter, as a voice of 12 kbit/s has frames of 30 bytes.
const (
	TagBytes      = 40
	voiceTagBytes = 26
)

// tagMagic begins an encoded tag: "BEDS"; voiceMagic that of a voice.
const (
	tagMagic   = 0x42454453
	voiceMagic = 0xbe
)

// Tag says what a synthetic packet is. It stands at the end of the payload, where no server that
// rewrites payload descriptors has business, and carries its own checksum.
type Tag struct {
	Sender uint64    // SenderHash of the participant
	Source uint8     // sourceNumber of the track
	Layer  uint8     // index of the encoding, lowest first
	Key    bool      // part of a key frame
	Frame  uint32    // number of the frame within the encoding
	Packet uint16    // index of the packet within the frame
	Count  uint16    // packets in the frame
	Sent   time.Time // on the sender's clock
}

// SenderHash is how a participant's id is written in a Tag.
func SenderHash(participant string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(participant))
	return h.Sum64()
}

// SourceOf returns the source that a tag names, or "" for a number nobody writes.
func (t Tag) SourceOf() wire.Source {
	for _, s := range sources() {
		if sourceNumber(s) == t.Source {
			return s
		}
	}
	return ""
}

// sources lists the sources in the order of their numbers.
func sources() [5]wire.Source {
	return [...]wire.Source{wire.SourceCamera, wire.SourceMic, wire.SourceScreen, wire.SourceExam, wire.SourceAuscultation}
}

// sourceNumber is how a source is written in a Tag; 0 is no source.
func sourceNumber(s wire.Source) uint8 {
	for i, known := range sources() {
		if s == known {
			return uint8(i + 1)
		}
	}
	return 0
}

// put writes t into the last TagBytes of b.
func (t Tag) put(b []byte) {
	b = b[len(b)-TagBytes:]
	binary.BigEndian.PutUint32(b, tagMagic)
	binary.BigEndian.PutUint64(b[4:], t.Sender)
	b[12], b[13], b[14], b[15] = t.Source, t.Layer, 0, 0
	if t.Key {
		b[14] = 1
	}
	binary.BigEndian.PutUint32(b[16:], t.Frame)
	binary.BigEndian.PutUint16(b[20:], t.Packet)
	binary.BigEndian.PutUint16(b[22:], t.Count)
	binary.BigEndian.PutUint64(b[24:], uint64(t.Sent.UnixNano()))
	binary.BigEndian.PutUint32(b[32:], 0)
	binary.BigEndian.PutUint32(b[36:], crc32.ChecksumIEEE(b[:36]))
}

// putVoice writes what there is to say of a voice's frame into the last voiceTagBytes of b.
func (t Tag) putVoice(b []byte) {
	b = b[len(b)-voiceTagBytes:]
	b[0], b[1] = voiceMagic, t.Source
	binary.BigEndian.PutUint64(b[2:], t.Sender)
	binary.BigEndian.PutUint32(b[10:], t.Frame)
	binary.BigEndian.PutUint64(b[14:], uint64(t.Sent.UnixNano()))
	binary.BigEndian.PutUint32(b[22:], crc32.ChecksumIEEE(b[:22]))
}

// parseVoiceTag reads what putVoice wrote.
func parseVoiceTag(payload []byte) (Tag, bool) {
	if len(payload) < voiceTagBytes {
		return Tag{}, false
	}
	b := payload[len(payload)-voiceTagBytes:]
	if b[0] != voiceMagic || binary.BigEndian.Uint32(b[22:]) != crc32.ChecksumIEEE(b[:22]) {
		return Tag{}, false
	}
	return Tag{
		Source: b[1], Sender: binary.BigEndian.Uint64(b[2:]), Frame: binary.BigEndian.Uint32(b[10:]), Count: 1,
		Sent: time.Unix(0, int64(binary.BigEndian.Uint64(b[14:]))),
	}, true
}

// ParseTag reads the tag at the end of a payload. It returns false for a payload without one:
// padding, or bytes that were damaged on the way.
func ParseTag(payload []byte) (Tag, bool) {
	if len(payload) < TagBytes {
		return parseVoiceTag(payload)
	}
	b := payload[len(payload)-TagBytes:]
	if binary.BigEndian.Uint32(b) != tagMagic || binary.BigEndian.Uint32(b[36:]) != crc32.ChecksumIEEE(b[:36]) {
		return parseVoiceTag(payload)
	}
	return Tag{
		Sender: binary.BigEndian.Uint64(b[4:]),
		Source: b[12], Layer: b[13], Key: b[14] == 1,
		Frame:  binary.BigEndian.Uint32(b[16:]),
		Packet: binary.BigEndian.Uint16(b[20:]),
		Count:  binary.BigEndian.Uint16(b[22:]),
		Sent:   time.Unix(0, int64(binary.BigEndian.Uint64(b[24:]))),
	}, true
}
