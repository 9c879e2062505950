package codec_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bedside-video/bedside/sfu/codec"
)

// header is a packet's first 12 bytes: flags is its first byte.
func header(flags byte) []byte {
	return []byte{flags, 0xE0 | 0x0B, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestParse(t *testing.T) {
	tests := []struct {
		name    string
		packet  []byte
		payload []byte
		err     error
	}{
		{"empty", nil, nil, codec.ErrShort},
		{"one byte short of a header", header(0x80)[:11], nil, codec.ErrShort},
		{"version 1", header(0x40), nil, codec.ErrVersion},
		{"version 3", header(0xC0), nil, codec.ErrVersion},
		{"no payload", header(0x80), []byte{}, nil},
		{"payload", join(header(0x80), []byte{9, 8}), []byte{9, 8}, nil},
		{"two contributing sources", join(header(0x82), make([]byte, 8), []byte{9}), []byte{9}, nil},
		{"contributing sources cut off", join(header(0x82), make([]byte, 7)), nil, codec.ErrShort},
		{"padding", join(header(0xA0), []byte{9, 0, 0, 3}), []byte{9}, nil},
		{"nothing but padding", join(header(0xA0), []byte{0, 2}), []byte{}, nil},
		{"padding of 0", join(header(0xA0), []byte{9, 0}), nil, codec.ErrPadding},
		{"more padding than packet", join(header(0xA0), []byte{9, 3}), nil, codec.ErrPadding},
		{"padding announced, nothing there", header(0xA0), nil, codec.ErrPadding},
		{"extension", join(header(0x90), []byte{0xBE, 0xDE, 0, 1, 0x10, 0xAA, 0, 0, 9}), []byte{9}, nil},
		{"empty extension", join(header(0x90), []byte{0xBE, 0xDE, 0, 0, 9}), []byte{9}, nil},
		{"extension header cut off", join(header(0x90), []byte{0xBE, 0xDE, 0}), nil, codec.ErrExtension},
		{"extension cut off", join(header(0x90), []byte{0xBE, 0xDE, 0, 2, 0x10, 0xAA, 0, 0}), nil, codec.ErrExtension},
		{"one-byte element beyond the end", join(header(0x90), []byte{0xBE, 0xDE, 0, 1, 0x13, 1, 2, 3}), nil, codec.ErrExtension},
		{"two-byte element beyond the end", join(header(0x90), []byte{0x10, 0, 0, 1, 1, 3, 1, 2}), nil, codec.ErrExtension},
		{"two-byte element without length", join(header(0x90), []byte{0x10, 0, 0, 1, 0, 0, 0, 1}), nil, codec.ErrExtension},
		{"another profile is opaque", join(header(0x90), []byte{0x99, 0x99, 0, 1, 0x1F, 1, 2, 3, 9}), []byte{9}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p codec.Packet
			if err := p.Parse(tt.packet); !errors.Is(err, tt.err) {
				t.Fatalf("Parse: %v, want %v", err, tt.err)
			}
			if tt.err != nil {
				return
			}
			if !bytes.Equal(p.Payload, tt.payload) {
				t.Errorf("payload %v, want %v", p.Payload, tt.payload)
			}
			if p.Seq != 0x1234 || p.Timestamp != 0x01020304 || p.SSRC != 0x05060708 || p.PayloadType != 107 || !p.Marker || p.Size != len(tt.packet) {
				t.Errorf("header read as %+v", p)
			}
		})
	}
}

func TestExtension(t *testing.T) {
	oneByte := []byte{0xBE, 0xDE, 0, 3, 0x10, 0xAA, 0, 0x22, 1, 2, 3, 0xF0, 0x30, 7, 0, 0}
	twoByte := []byte{0x10, 0x05, 0, 2, 1, 0, 0, 200, 2, 5, 6, 0}
	zeroWithLength := []byte{0xBE, 0xDE, 0, 1, 0x01, 5, 0x10, 9}
	tests := []struct {
		name string
		ext  []byte
		id   uint8
		want []byte // nil: absent
	}{
		{"one-byte, first", oneByte, 1, []byte{0xAA}},
		{"one-byte, behind padding", oneByte, 2, []byte{1, 2, 3}},
		{"one-byte, absent", oneByte, 4, nil},
		{"one-byte, behind the reserved id 15", oneByte, 3, nil},
		{"one-byte, the reserved id", oneByte, 15, nil},
		{"one-byte, behind an id 0 with a length", zeroWithLength, 1, nil},
		{"two-byte, without content", twoByte, 1, []byte{}},
		{"two-byte, id above 14", twoByte, 200, []byte{5, 6}},
		{"padding has no id", twoByte, 0, nil},
		{"no extension", nil, 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			flags := byte(0x80)
			if tt.ext != nil {
				flags = 0x90
			}
			var p codec.Packet
			if err := p.Parse(join(header(flags), tt.ext, []byte{9})); err != nil {
				t.Fatal(err)
			}
			got := p.Extension(tt.id)
			if !bytes.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
				t.Errorf("Extension(%d) = %v, want %v", tt.id, got, tt.want)
			}
		})
	}
}

func TestAudioLevel(t *testing.T) {
	tests := []struct {
		name  string
		ext   []byte
		level uint8
		voice bool
		ok    bool
	}{
		{"loudest, voice", []byte{0x80}, 0, true, true},
		{"silence", []byte{0x7F}, 127, false, true},
		{"absent", nil, 0, false, false},
		{"too long", []byte{0x80, 0}, 0, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			level, voice, ok := codec.AudioLevel(tt.ext)
			if level != tt.level || voice != tt.voice || ok != tt.ok {
				t.Errorf("AudioLevel = %d, %t, %t", level, voice, ok)
			}
		})
	}
}

func TestSendTime(t *testing.T) {
	if units, ok := codec.SendTime([]byte{0x01, 0x02, 0x03}); units != 0x010203 || !ok {
		t.Errorf("SendTime = %#x, %t", units, ok)
	}
	for _, ext := range [][]byte{nil, {1, 2}, {1, 2, 3, 4}} {
		if _, ok := codec.SendTime(ext); ok {
			t.Errorf("%v was taken", ext)
		}
	}
}

func TestParseName(t *testing.T) {
	tests := []struct {
		mime string
		want codec.Name
		ok   bool
		kind codec.Kind
		rate uint32
	}{
		{"audio/opus", codec.Opus, true, codec.Audio, 48000},
		{"audio/OPUS", codec.Opus, true, codec.Audio, 48000},
		{"video/VP8", codec.VP8, true, codec.Video, 90000},
		{"VIDEO/h264", codec.H264, true, codec.Video, 90000},
		{"video/opus", 0, false, 0, 0},
		{"video/VP9", 0, false, 0, 0},
		{"VP8", 0, false, 0, 0},
		{"", 0, false, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.mime, func(t *testing.T) {
			n, ok := codec.ParseName(tt.mime)
			if n != tt.want || ok != tt.ok || n.Kind() != tt.kind || n.ClockRate() != tt.rate {
				t.Errorf("ParseName = %v, %t, a %v of %d Hz", n, ok, n.Kind(), n.ClockRate())
			}
		})
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	for _, b := range samples() {
		var p codec.Packet
		n := testing.AllocsPerRun(100, func() {
			if err := p.Parse(b.packet); err != nil {
				t.Fatal(err)
			}
			if err := p.ParsePayload(b.name); err != nil {
				t.Fatal(err)
			}
			_ = p.Extension(5)
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", b.name, n)
		}
	}
}

type sample struct {
	name   codec.Name
	packet []byte
}

// samples are packets as Chromium sends them: one-byte extensions, a full descriptor.
func samples() []sample {
	ext := []byte{0xBE, 0xDE, 0, 2, 0x30, 0x85, 0x41, 0x12, 0x34, 0x50, 'q', 0}
	return []sample{
		{codec.Opus, join(header(0x90), ext, make([]byte, 60))},
		{codec.VP8, join(header(0x90), ext, []byte{0x90, 0xE0, 0x92, 0x34, 7, 0x60, 0, 1, 2}, make([]byte, 1100))},
		{codec.H264, join(header(0x90), ext, []byte{0x7C, 0x87, 0x42}, make([]byte, 1100))},
	}
}

func BenchmarkParse(b *testing.B) {
	for _, s := range samples() {
		b.Run(s.name.String(), func(b *testing.B) {
			b.ReportAllocs()
			var p codec.Packet
			for b.Loop() {
				_ = p.Parse(s.packet)
				_ = p.ParsePayload(s.name)
			}
		})
	}
}
