package mkv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// ErrNotMatroska tells that a file is no Matroska that we write.
var ErrNotMatroska = errors.New("not a Matroska file of a recording")

// Bounds of what is read.
const (
	maxHeaderElement = 1 << 20
	maxTracks        = 126
)

// Block is one frame that was read.
type Block struct {
	Track int
	At    time.Duration // after the file's date
	Key   bool
	Data  []byte
}

// Reader reads what a Writer wrote, as far as it goes: a file that was cut short is no error.
type Reader struct {
	Header  Header
	r       *bufio.Reader
	cluster int64
	pending *element // the first behind the header
}

// element is what comes next: its content is size bytes long.
type element struct {
	id   uint32
	size int64 // -1: unknown
}

// NewReader reads the header. io.ErrUnexpectedEOF: the file ends before its end.
func NewReader(r io.Reader) (*Reader, error) {
	m := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	if e, err := m.next(); err != nil {
		return nil, err
	} else if e.id != idEBML || m.skip(e) != nil {
		return nil, ErrNotMatroska
	}
	for {
		e, err := m.next()
		if err != nil {
			return nil, err
		}
		switch e.id {
		case idSegment:
		case idInfo, idTracks:
			b, err := m.content(e, maxHeaderElement)
			if err != nil {
				return nil, err
			}
			if err := m.header(e.id, b); err != nil {
				return nil, err
			}
		case idCluster:
			if len(m.Header.Tracks) == 0 {
				return nil, ErrNotMatroska
			}
			m.pending = &e
			return m, nil
		default:
			if err := m.skip(e); err != nil {
				return nil, err
			}
		}
	}
}

// Next returns the next frame; io.EOF behind the last whole one, be it the end or not.
func (m *Reader) Next() (Block, error) {
	for {
		e, err := m.element()
		if err != nil {
			return Block{}, ended(err)
		}
		switch e.id {
		case idCluster, idSegment:
		case idTimestamp:
			b, err := m.content(e, 8)
			if err != nil {
				return Block{}, ended(err)
			}
			m.cluster = int64(number(b) & (1<<62 - 1))
		case idSimpleBlock:
			b, err := m.content(e, maxFrame+4)
			if err != nil {
				return Block{}, ended(err)
			}
			if len(b) < 4 || b[0]&0x80 == 0 {
				return Block{}, ErrNotMatroska
			}
			in := int64(int16(binary.BigEndian.Uint16(b[1:])))
			at := min(m.cluster+in, maxTime.Milliseconds())
			return Block{Track: int(b[0] & 0x7F), At: time.Duration(at) * time.Millisecond, Key: b[3]&0x80 != 0, Data: b[4:]}, nil
		default:
			if err := m.skip(e); err != nil {
				return Block{}, ended(err)
			}
		}
	}
}

// maxTime bounds what a file says of times: a year.
const maxTime = 365 * 24 * time.Hour

func ended(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

func (m *Reader) element() (element, error) {
	if e := m.pending; e != nil {
		m.pending = nil
		return *e, nil
	}
	return m.next()
}

// next reads an element's identifier and size.
func (m *Reader) next() (element, error) {
	first, err := m.r.ReadByte()
	if err != nil {
		return element{}, short(err)
	}
	n := bits.LeadingZeros8(first)
	if n > 3 {
		return element{}, ErrNotMatroska
	}
	id := uint32(first)
	for range n {
		x, err := m.r.ReadByte()
		if err != nil {
			return element{}, short(err)
		}
		id = id<<8 | uint32(x)
	}
	if first, err = m.r.ReadByte(); err != nil {
		return element{}, short(err)
	}
	n = bits.LeadingZeros8(first)
	if n > 7 {
		return element{}, ErrNotMatroska
	}
	size, ones := uint64(first)&(0x7F>>n), uint64(0x7F>>n)
	for range n {
		x, err := m.r.ReadByte()
		if err != nil {
			return element{}, short(err)
		}
		size, ones = size<<8|uint64(x), ones<<8|0xFF
	}
	if size == ones {
		return element{id, -1}, nil
	}
	return element{id, int64(size)}, nil
}

func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read recording: %w", err)
}

func (m *Reader) content(e element, most int64) ([]byte, error) {
	if e.size < 0 || e.size > most {
		return nil, ErrNotMatroska
	}
	b := make([]byte, e.size)
	if _, err := io.ReadFull(m.r, b); err != nil {
		return nil, short(err)
	}
	return b, nil
}

func (m *Reader) skip(e element) error {
	if e.size < 0 {
		return ErrNotMatroska
	}
	if _, err := io.CopyN(io.Discard, m.r, e.size); err != nil {
		return short(err)
	}
	return nil
}

// header reads the content of Info or Tracks.
func (m *Reader) header(id uint32, b []byte) error {
	return children(b, func(child uint32, b []byte) error {
		switch {
		case id == idInfo && child == idTitle:
			m.Header.Title = string(b)
		case id == idInfo && child == idDateUTC:
			m.Header.Date = time.Unix(matroskaEpoch, int64(number(b))).UTC()
		case id == idTracks && child == idTrackEntry:
			t, err := parseTrack(b)
			if err != nil {
				return err
			}
			if m.Header.Tracks = append(m.Header.Tracks, t); len(m.Header.Tracks) > maxTracks {
				return ErrNotMatroska
			}
		}
		return nil
	})
}

func parseTrack(b []byte) (t Track, err error) {
	err = children(b, func(id uint32, b []byte) error {
		switch id {
		case idTrackNumber:
			t.Number = int(min(number(b), maxTracks))
		case idName:
			t.Name = string(b)
		case idCodecPrivate:
			t.Private = b
		case idCodecID:
			for _, n := range []codec.Name{codec.Opus, codec.VP8, codec.H264} {
				if codecID(n) == string(b) {
					t.Codec = n
				}
			}
		case idVideo:
			return children(b, func(id uint32, b []byte) error {
				switch id {
				case idPixelWidth:
					t.Width = int(min(number(b), 1<<14))
				case idPixelHeight:
					t.Height = int(min(number(b), 1<<14))
				}
				return nil
			})
		}
		return nil
	})
	if t.Codec == codec.Opus {
		t.Private = nil
	}
	if err == nil && (t.Number == 0 || t.Codec == 0) {
		err = ErrNotMatroska
	}
	return t, err
}

// children calls f with every element of b.
func children(b []byte, f func(id uint32, content []byte) error) error {
	for len(b) > 0 {
		n := bits.LeadingZeros8(b[0]) + 1
		if n > 4 || len(b) <= n {
			return ErrNotMatroska
		}
		id := uint32(number(b[:n]))
		b = b[n:]
		n = bits.LeadingZeros8(b[0]) + 1
		if n > 8 || len(b) < n {
			return ErrNotMatroska
		}
		size := number(b[:n]) & (1<<(7*n) - 1)
		b = b[n:]
		if size > uint64(len(b)) {
			return ErrNotMatroska
		}
		if err := f(id, b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// number reads an unsigned integer of up to eight bytes.
func number(b []byte) (v uint64) {
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}
