// Package mkv makes Matroska (RFC 9559) of RTP packets, in the live form that is whole wherever it is
// cut, and reads it again. It is pure: packets and times in, bytes out.
package mkv

import (
	"encoding/binary"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Track is one stream of a file.
type Track struct {
	Number        int // from 1, at most 126
	Name          string
	Codec         codec.Name
	Width, Height int    // of video
	Private       []byte // of H.264
}

// Header is what a file begins with.
type Header struct {
	Title  string
	Date   time.Time // time 0 of the file
	Tracks []Track
}

// maxCluster is how long a cluster lasts: a player begins at one.
const maxCluster = time.Second

// matroskaEpoch is 2001-01-01, from which DateUTC counts (RFC 9559 section 5.1.2.7), in Unix seconds.
const matroskaEpoch = 978307200

// Writer appends the frames of one file to buffers of its caller's, behind the header. The zero value is ready.
type Writer struct {
	open    bool
	cluster int64   // time of the open cluster, ms
	last    []int64 // time of the last frame by track number, ms
}

// AppendHeader appends what a file begins with. The segment has no end: what follows belongs to it.
func AppendHeader(b []byte, h Header) []byte {
	b = appendEBML(b)
	b = append(appendID(b, idSegment), unknownSize...)
	b = appendBytes(b, idInfo, appendInfo(nil, h, 0))
	return appendBytes(b, idTracks, appendTracks(nil, h.Tracks))
}

func appendEBML(b []byte) []byte {
	var e []byte
	e = appendUint(e, idEBMLVersion, 1)
	e = appendUint(e, idEBMLReadVersion, 1)
	e = appendUint(e, idMaxIDLength, 4)
	e = appendUint(e, idMaxSizeLength, 8)
	e = appendString(e, idDocType, "matroska")
	e = appendUint(e, idDocTypeVersion, 4)
	e = appendUint(e, idDocTypeRead, 2)
	return appendBytes(b, idEBML, e)
}

// appendInfo appends the content of Info, with a duration if there is one.
func appendInfo(b []byte, h Header, duration time.Duration) []byte {
	b = appendUint(b, idTimestampScale, uint64(time.Millisecond))
	if duration > 0 {
		b = appendFloat(b, idDuration, float64(duration)/float64(time.Millisecond))
	}
	if !h.Date.IsZero() {
		b = appendSize(appendID(b, idDateUTC), 8)
		b = binary.BigEndian.AppendUint64(b, uint64(h.Date.UnixNano()-matroskaEpoch*int64(time.Second)))
	}
	b = appendString(b, idTitle, h.Title)
	b = appendString(b, idMuxingApp, "bedside")
	return appendString(b, idWritingApp, "bedside")
}

// Kinds of tracks (RFC 9559 section 5.1.4.1.3).
const (
	trackVideo = 1
	trackAudio = 2
)

// opusPreRoll is how much before a place a decoder has to begin (RFC 7845 section 4.6).
const opusPreRoll = 80 * time.Millisecond

func appendTracks(b []byte, tracks []Track) []byte {
	for _, t := range tracks {
		var e []byte
		e = appendUint(e, idTrackNumber, uint64(t.Number))
		e = appendUint(e, idTrackUID, uint64(t.Number))
		e = appendUint(e, idFlagLacing, 0)
		e = appendString(e, idLanguage, "und")
		e = appendString(e, idName, t.Name)
		e = appendString(e, idCodecID, codecID(t.Codec))
		if t.Codec == codec.Opus {
			e = appendUint(e, idTrackType, trackAudio)
			e = appendBytes(e, idCodecPrivate, opusHead())
			e = appendUint(e, idCodecDelay, uint64(opusDelay))
			e = appendUint(e, idSeekPreRoll, uint64(opusPreRoll))
			e = appendBytes(e, idAudio, appendUint(appendFloat(nil, idSampling, 48000), idChannels, opusChannels))
		} else {
			e = appendUint(e, idTrackType, trackVideo)
			if t.Private != nil {
				e = appendBytes(e, idCodecPrivate, t.Private)
			}
			e = appendBytes(e, idVideo, appendUint(appendUint(nil, idPixelWidth, uint64(t.Width)), idPixelHeight, uint64(t.Height)))
		}
		b = appendBytes(b, idTrackEntry, e)
	}
	return b
}

func codecID(n codec.Name) string {
	switch n {
	case codec.Opus:
		return "A_OPUS"
	case codec.VP8:
		return "V_VP8"
	default:
		return "V_MPEG4/ISO/AVC"
	}
}

// opusChannels: in RTP it is always two (RFC 7587 section 7), whatever a packet holds.
const opusChannels = 2

// opusSkip is by how many samples what a decoder gives is later than what a packet's timestamp is of: libopus looks
// ahead so far (OPUS_GET_LOOKAHEAD: 2.5 ms, and 4 ms unless its delay is restricted), and in RTP nobody says so (RFC 7587).
// Players leave out so many at the beginning, and show everything so much earlier: Chromium plays nothing in which the
// two differ.
const (
	opusSkip  = 312
	opusDelay = opusSkip * time.Second / 48000
)

// opusHead is the identification header (RFC 7845 section 5.1). No more than the delay is skipped, although a decoder
// that begins in the middle of a call needs 80 ms to be right: that is of the recording.
func opusHead() []byte {
	b := append([]byte("OpusHead"), 1, opusChannels)
	b = binary.LittleEndian.AppendUint16(b, opusSkip)
	b = binary.LittleEndian.AppendUint32(b, 48000)
	return append(b, 0, 0, 0)
}

// AppendFrame appends a frame of a track that was taken at that time after the file's date. In a track
// time does not run backwards.
func (w *Writer) AppendFrame(b []byte, track int, at time.Duration, key bool, data []byte) []byte {
	return append(w.BeginFrame(b, track, at, key, len(data)), data...)
}

// BeginFrame is AppendFrame without the frame's data, which are to follow: so many bytes.
func (w *Writer) BeginFrame(b []byte, track int, at time.Duration, key bool, size int) []byte {
	for len(w.last) <= track {
		w.last = append(w.last, 0)
	}
	ms := max(at.Round(time.Millisecond).Milliseconds(), w.last[track])
	w.last[track] = ms
	if in := ms - w.cluster; !w.open || in >= maxCluster.Milliseconds() || in < -maxCluster.Milliseconds() {
		w.open, w.cluster = true, ms
		b = append(appendID(b, idCluster), unknownSize...)
		b = appendUint(b, idTimestamp, uint64(ms))
	}
	return beginBlock(b, track, int16(ms-w.cluster), key, size)
}

func appendBlock(b []byte, track int, in int16, key bool, data []byte) []byte {
	return append(beginBlock(b, track, in, key, len(data)), data...)
}

func beginBlock(b []byte, track int, in int16, key bool, size int) []byte {
	b = appendSize(appendID(b, idSimpleBlock), 4+size)
	flags := byte(0)
	if key {
		flags = 0x80
	}
	return append(b, 0x80|byte(track), byte(uint16(in)>>8), byte(in), flags)
}
