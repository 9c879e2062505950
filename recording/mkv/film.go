package mkv

import (
	"encoding/binary"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Film writes a finished file, in which players can seek: clusters know their size, an index follows,
// and the beginning is completed at the end. It appends to buffers of its caller's, who keeps the
// order. The zero value is ready.
type Film struct {
	header  Header
	at      int64 // bytes appended so far
	segment int64 // where the segment's content begins
	info    int64 // where Info is
	room    int64 // where there is room for the index's place
	video   map[int]bool

	cluster int64 // ms; of the one in block
	block   []byte
	keys    []int // tracks of which a key frame is in it
	last    []int64
	end     int64
	cues    []cue
}

// cue is a place where a player can begin.
type cue struct {
	ms    int64
	track int
	at    int64 // of the cluster, after segment
}

// Patch replaces bytes at a place of the file.
type Patch struct {
	At    int64
	Bytes []byte
}

// seekRoom is what is kept free for the SeekHead.
const seekRoom = 64

// AppendHeader appends what the file begins with.
func (f *Film) AppendHeader(b []byte, h Header) []byte {
	f.header, f.video = h, make(map[int]bool)
	for _, t := range h.Tracks {
		f.video[t.Number] = t.Codec.Kind() == codec.Video
	}
	begin := len(b)
	b = appendEBML(b)
	b = append(appendID(b, idSegment), unknownSize...)
	f.segment = int64(len(b) - begin)
	f.room = f.segment
	b = AppendVoid(b, seekRoom)
	f.info = int64(len(b) - begin)
	// With a duration, so that the patch is as long.
	b = appendBytes(b, idInfo, appendInfo(nil, h, time.Millisecond))
	b = appendBytes(b, idTracks, appendTracks(nil, h.Tracks))
	f.at = int64(len(b) - begin)
	return b
}

// AppendFrame takes a frame; it appends the cluster that is full because of it, if any.
func (f *Film) AppendFrame(b []byte, track int, at time.Duration, key bool, data []byte) []byte {
	for len(f.last) <= track {
		f.last = append(f.last, 0)
	}
	ms := max(at.Round(time.Millisecond).Milliseconds(), f.last[track])
	f.last[track] = ms
	f.end = max(f.end, ms)
	if in := ms - f.cluster; len(f.block) > 0 && (in >= maxCluster.Milliseconds() || in < -maxCluster.Milliseconds() || len(f.block) > maxFrame) {
		b = f.flush(b)
	}
	if len(f.block) == 0 {
		f.cluster = ms
		f.block = appendUint(f.block, idTimestamp, uint64(ms))
	}
	if key && f.video[track] {
		f.keys = append(f.keys, track)
	}
	f.block = appendBlock(f.block, track, int16(ms-f.cluster), key, data)
	return b
}

func (f *Film) flush(b []byte) []byte {
	if len(f.block) == 0 {
		return b
	}
	for _, track := range f.keys {
		f.cues = append(f.cues, cue{f.cluster, track, f.at - f.segment})
	}
	if len(f.keys) == 0 && len(f.video) > 0 && !f.anyVideo() {
		f.cues = append(f.cues, cue{f.cluster, f.header.Tracks[0].Number, f.at - f.segment})
	}
	begin := len(b)
	b = appendBytes(b, idCluster, f.block)
	f.at += int64(len(b) - begin)
	f.block, f.keys = f.block[:0], f.keys[:0]
	return b
}

func (f *Film) anyVideo() bool {
	for _, v := range f.video {
		if v {
			return true
		}
	}
	return false
}

// Close appends what is left and the index, and says what to change at the beginning.
func (f *Film) Close(b []byte) ([]byte, []Patch) {
	b = f.flush(b)
	index := f.at - f.segment
	var cues []byte
	for _, c := range f.cues {
		place := appendUint(appendUint(nil, idCueTrack, uint64(c.track)), idCueCluster, uint64(c.at))
		point := appendBytes(appendUint(nil, idCueTime, uint64(c.ms)), idCuePositions, place)
		cues = appendBytes(cues, idCuePoint, point)
	}
	begin := len(b)
	if len(cues) > 0 {
		b = appendBytes(b, idCues, cues)
	}
	f.at += int64(len(b) - begin)
	size := binary.BigEndian.AppendUint64(nil, 1<<56|uint64(f.at-f.segment))
	info := appendBytes(nil, idInfo, appendInfo(nil, f.header, time.Duration(max(f.end, 1))*time.Millisecond))
	patches := []Patch{{f.segment - 8, size}, {f.info, info}}
	if len(cues) > 0 {
		entry := appendBytes(nil, idSeekID, appendID(nil, idCues))
		entry = appendUint(entry, idSeekPosition, uint64(index))
		head := appendBytes(nil, idSeekHead, appendBytes(nil, idSeek, entry))
		patches = append(patches, Patch{f.room, AppendVoid(head, seekRoom-len(head))})
	}
	return b, patches
}
