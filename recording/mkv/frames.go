package mkv

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Frame is what becomes one block: a picture, or a packet of sound.
type Frame struct {
	Taken     time.Time // when its first packet came
	Timestamp uint32    // RTP
	Codec     codec.Name
	Key       bool // a decoder can begin here
	Data      []byte
	// Of key frames of video.
	Width, Height int
	Private       []byte // of H.264: its avcC
}

// maxFrame bounds a picture: a key frame of 1280x720 at the worst has 500 kB.
const maxFrame = 4 << 20

// Loss says what did not become frames.
type Loss struct {
	Packets int // missing or unreadable
	Frames  int // of pictures: incomplete, or useless without one that was
}

// Frames makes frames of one stream's packets in sequence. After a loss of video nothing is made of
// what follows until a key frame: it would show what nobody saw. The zero value is ready.
type Frames struct {
	started bool // a key frame has come since the last loss
	lost    bool // part of the current frame is missing
	current Frame
	open    bool
	buffer  []byte // of the current frame's data
	h264    h264Frame
	loss    Loss
}

var errPayload = errors.New("mkv: malformed payload")

// Put takes the next packet, and returns the frame that it completes, if any. The frame's data are valid
// until the next call; those of a picture for good if Use is called before it.
func (f *Frames) Put(p *Ordered) (Frame, bool) {
	f.loss.Packets += p.Missing
	if p.Codec == codec.Opus {
		if len(p.Payload) == 0 {
			return Frame{}, false
		}
		return Frame{Taken: p.Taken, Timestamp: p.Timestamp, Codec: codec.Opus, Key: true, Data: p.Payload}, true
	}
	if p.Missing > 0 {
		f.started = false
		f.lost = f.open // the rest of it is of no use
	}
	if len(p.Payload) == 0 {
		return Frame{}, false // padding
	}
	if f.open && (p.Timestamp != f.current.Timestamp || p.Codec != f.current.Codec) {
		// Its end was lost; or a sender that sets no marker, which no browser is.
		f.loss.Frames++
		f.open, f.started = false, false
	}
	if !f.open {
		f.begin(p)
	}
	if f.lost {
		f.end(p)
		return Frame{}, false
	}
	f.current.Key = f.current.Key || p.KeyFrame
	if err := f.add(p); err != nil || len(f.current.Data) > maxFrame {
		f.loss.Packets++
		f.lost, f.started = true, false
		f.end(p)
		return Frame{}, false
	}
	if !p.Marker {
		return Frame{}, false
	}
	return f.finish()
}

// begin starts a frame with its first packet that came.
func (f *Frames) begin(p *Ordered) {
	if cap(f.current.Data) > cap(f.buffer) {
		f.buffer = f.current.Data
	}
	f.current = Frame{Taken: p.Taken, Timestamp: p.Timestamp, Codec: p.Codec, Data: f.buffer[:0]}
	f.h264 = h264Frame{}
	f.open = true
	f.lost = !p.FrameStart && p.Codec == codec.VP8
}

// end forgets a frame that is not whole when its last packet has come.
func (f *Frames) end(p *Ordered) {
	if p.Marker {
		f.loss.Frames++
		f.open, f.lost = false, false
	}
}

func (f *Frames) add(p *Ordered) error {
	if p.Codec == codec.VP8 {
		n, err := vp8Header(p.Payload)
		if err != nil {
			return err
		}
		f.current.Data = append(f.current.Data, p.Payload[n:]...)
		return nil
	}
	var err error
	f.current.Data, err = f.h264.append(f.current.Data, p.Payload)
	return err
}

func (f *Frames) finish() (Frame, bool) {
	frame := f.current
	f.open = false // the buffer stays in current for the next
	if frame.Key {
		if err := describe(&frame, &f.h264); err != nil {
			frame.Key = false
		}
	}
	f.started = f.started || frame.Key
	if !f.started || f.h264.fragment || len(frame.Data) == 0 {
		f.loss.Frames++
		f.started = f.started && !f.h264.fragment
		return Frame{}, false
	}
	return frame, true
}

// Use gives space for the next picture, for that of the last, whose data then are the caller's.
func (f *Frames) Use(space []byte) { f.buffer, f.current.Data = space[:0], nil }

// Lose tells that the last picture could not be kept: what follows is of no use before a key frame.
func (f *Frames) Lose() { f.started = false }

// Lossy tells whether Loss has something to return.
func (f *Frames) Lossy() bool { return f.loss != Loss{} }

// NeedsKey tells that nothing can be made of video before its next key frame.
func (f *Frames) NeedsKey() bool { return !f.started }

// Loss returns what was lost since it was asked last.
func (f *Frames) Loss() Loss {
	l := f.loss
	f.loss = Loss{}
	return l
}

// vp8Header is the length of the payload descriptor (RFC 7741 section 4.2).
func vp8Header(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, errPayload
	}
	n := 1
	if b[0]&0x80 != 0 {
		if len(b) < 2 {
			return 0, errPayload
		}
		flags := b[1]
		n = 2
		if flags&0x80 != 0 {
			if len(b) < 3 {
				return 0, errPayload
			}
			n++
			if b[2]&0x80 != 0 {
				n++
			}
		}
		if flags&0x40 != 0 {
			n++
		}
		if flags&0x30 != 0 {
			n++
		}
	}
	if len(b) <= n {
		return 0, errPayload
	}
	return n, nil
}

// describe reads a key frame's size, and makes H.264's private data.
func describe(f *Frame, h *h264Frame) error {
	if f.Codec == codec.H264 {
		s, err := parseSPS(h.sps)
		if err != nil {
			return err
		}
		f.Width, f.Height = s.width, s.height
		f.Private = h.configuration()
		return nil
	}
	// RFC 6386 section 9.1: a frame tag of three bytes, a start code, and two times 14 bits of size.
	d := f.Data
	if len(d) < 10 || d[0]&1 != 0 || d[3] != 0x9D || d[4] != 0x01 || d[5] != 0x2A {
		return errPayload
	}
	f.Width = int(binary.LittleEndian.Uint16(d[6:]) & 0x3FFF)
	f.Height = int(binary.LittleEndian.Uint16(d[8:]) & 0x3FFF)
	if f.Width == 0 || f.Height == 0 {
		return errPayload
	}
	return nil
}
