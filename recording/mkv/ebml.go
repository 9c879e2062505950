package mkv

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Identifiers of the elements that we write or read (RFC 8794, RFC 9559 section 5).
const (
	idEBML            = 0x1A45DFA3
	idEBMLVersion     = 0x4286
	idEBMLReadVersion = 0x42F7
	idMaxIDLength     = 0x42F2
	idMaxSizeLength   = 0x42F3
	idDocType         = 0x4282
	idDocTypeVersion  = 0x4287
	idDocTypeRead     = 0x4285
	idVoid            = 0xEC
	idSegment         = 0x18538067
	idInfo            = 0x1549A966
	idTimestampScale  = 0x2AD7B1
	idDuration        = 0x4489
	idDateUTC         = 0x4461
	idTitle           = 0x7BA9
	idMuxingApp       = 0x4D80
	idWritingApp      = 0x5741
	idTracks          = 0x1654AE6B
	idTrackEntry      = 0xAE
	idTrackNumber     = 0xD7
	idTrackUID        = 0x73C5
	idTrackType       = 0x83
	idFlagLacing      = 0x9C
	idName            = 0x536E
	idLanguage        = 0x22B59C
	idCodecID         = 0x86
	idCodecPrivate    = 0x63A2
	idCodecDelay      = 0x56AA
	idSeekPreRoll     = 0x56BB
	idVideo           = 0xE0
	idPixelWidth      = 0xB0
	idPixelHeight     = 0xBA
	idAudio           = 0xE1
	idSampling        = 0xB5
	idChannels        = 0x9F
	idCluster         = 0x1F43B675
	idTimestamp       = 0xE7
	idSimpleBlock     = 0xA3
	idCues            = 0x1C53BB6B
	idCuePoint        = 0xBB
	idCueTime         = 0xB3
	idCuePositions    = 0xB7
	idCueTrack        = 0xF7
	idCueCluster      = 0xF1
	idSeekHead        = 0x114D9B74
	idSeek            = 0x4DBB
	idSeekID          = 0x53AB
	idSeekPosition    = 0x53AC
)

// unknownSize of eight bytes: the element goes on until one begins that cannot be part of it
// (RFC 8794 section 6.2).
const unknownSize = "\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF"

// appendID: the identifiers hold their own length.
func appendID(b []byte, id uint32) []byte {
	for n := (bits.Len32(id) + 7) / 8; n > 0; n-- {
		b = append(b, byte(id>>(8*(n-1))))
	}
	return b
}

// appendSize writes a length as a variable-size integer (RFC 8794 section 4).
func appendSize(b []byte, n int) []byte {
	switch {
	case n < 1<<7-1:
		return append(b, 0x80|byte(n))
	case n < 1<<14-1:
		return append(b, 0x40|byte(n>>8), byte(n))
	case n < 1<<28-1:
		return binary.BigEndian.AppendUint32(b, 0x10000000|uint32(n))
	}
	return binary.BigEndian.AppendUint64(b, 1<<56|uint64(n))
}

func appendBytes(b []byte, id uint32, content []byte) []byte {
	return append(appendSize(appendID(b, id), len(content)), content...)
}

func appendString(b []byte, id uint32, s string) []byte { return appendBytes(b, id, []byte(s)) }

func appendUint(b []byte, id uint32, v uint64) []byte {
	n := max(1, (bits.Len64(v)+7)/8)
	b = appendSize(appendID(b, id), n)
	for ; n > 0; n-- {
		b = append(b, byte(v>>(8*(n-1))))
	}
	return b
}

func appendFloat(b []byte, id uint32, v float64) []byte {
	return binary.BigEndian.AppendUint64(appendSize(appendID(b, id), 8), math.Float64bits(v))
}

// voidSize is the size that AppendVoid writes in eight bytes from this length on.
const longVoid = 64

// AppendVoid appends an element of n bytes, two at least, that every reader skips.
func AppendVoid(b []byte, n int) []byte {
	b = append(b, idVoid)
	if n < longVoid {
		b = append(b, 0x80|byte(n-2))
		return append(b, make([]byte, n-2)...)
	}
	b = binary.BigEndian.AppendUint64(b, 1<<56|uint64(n-9))
	return append(b, make([]byte, n-9)...)
}
