package codec_test

import (
	"errors"
	"testing"

	"github.com/bedside-video/bedside/sfu/codec"
)

func TestParseVP8(t *testing.T) {
	full := codec.Descriptor{PictureID: 0x1234, PictureIDBits: 15, TL0PICIDX: 7, HasTL0PICIDX: true, TID: 1, HasTID: true, LayerSync: true}
	tests := []struct {
		name       string
		payload    []byte
		key, start bool
		want       codec.Descriptor
		err        error
	}{
		{"nothing but padding", nil, false, false, codec.Descriptor{}, nil},
		{"one byte of descriptor, key frame", []byte{0x10, 0x00}, true, true, codec.Descriptor{}, nil},
		{"one byte of descriptor, other frame", []byte{0x10, 0x01}, false, true, codec.Descriptor{}, nil},
		{"not the start of a partition", []byte{0x00, 0x00}, false, false, codec.Descriptor{}, nil},
		{"start of the second partition", []byte{0x11, 0x00}, false, false, codec.Descriptor{}, nil},
		{"no frame refers to it", []byte{0x30, 0x01}, false, true, codec.Descriptor{NonReference: true}, nil},
		{"extended, nothing follows", []byte{0x90, 0x00, 0x00}, true, true, codec.Descriptor{}, nil},
		{"picture id of 7 bits", []byte{0x90, 0x80, 0x7F, 0x00}, true, true, codec.Descriptor{PictureID: 127, PictureIDBits: 7}, nil},
		{"picture id of 15 bits", []byte{0x90, 0x80, 0xFF, 0xFF, 0x00}, true, true, codec.Descriptor{PictureID: 0x7FFF, PictureIDBits: 15}, nil},
		{"everything", []byte{0x90, 0xF0, 0x92, 0x34, 7, 0x7F, 0x01}, false, true, full, nil},
		{"key index without TID", []byte{0x90, 0x10, 0xFF, 0x00}, true, true, codec.Descriptor{}, nil},
		{"no extension byte", []byte{0x90}, false, false, codec.Descriptor{}, codec.ErrDescriptor},
		{"no picture id", []byte{0x90, 0x80}, false, false, codec.Descriptor{}, codec.ErrDescriptor},
		{"half a picture id", []byte{0x90, 0x80, 0x80}, false, false, codec.Descriptor{}, codec.ErrDescriptor},
		{"no TL0PICIDX", []byte{0x90, 0xC0, 0x01}, false, false, codec.Descriptor{}, codec.ErrDescriptor},
		{"no TID", []byte{0x90, 0xE0, 0x01, 0x02}, false, false, codec.Descriptor{}, codec.ErrDescriptor},
		{"no payload behind it", []byte{0x90, 0xE0, 0x01, 0x02, 0x03}, false, false, codec.Descriptor{}, codec.ErrDescriptor},
		{"a bare descriptor", []byte{0x10}, false, false, codec.Descriptor{}, codec.ErrDescriptor},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := codec.Packet{Payload: tt.payload, KeyFrame: true, FrameStart: true, VP8: full}
			if err := p.ParsePayload(codec.VP8); !errors.Is(err, tt.err) {
				t.Fatalf("ParsePayload: %v, want %v", err, tt.err)
			}
			if p.KeyFrame != tt.key || p.FrameStart != tt.start || p.VP8 != tt.want {
				t.Errorf("key %t, start %t, %+v; want %t, %t, %+v", p.KeyFrame, p.FrameStart, p.VP8, tt.key, tt.start, tt.want)
			}
		})
	}
}

func TestParseH264(t *testing.T) {
	tests := []struct {
		name       string
		payload    []byte
		key, start bool
		err        error
	}{
		{"nothing but padding", nil, false, false, nil},
		{"parameter set", []byte{0x67, 0x42}, true, true, nil},
		{"picture parameter set", []byte{0x68, 0x42}, false, false, nil},
		{"IDR without its parameter set", []byte{0x65, 0x88}, false, true, nil},
		{"first slice", []byte{0x61, 0x9A}, false, true, nil},
		{"second slice", []byte{0x61, 0x40}, false, false, nil},
		{"delimiter", []byte{0x09, 0xF0}, false, true, nil},
		{"aggregate of parameter sets", []byte{0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68}, true, true, nil},
		{"aggregate, parameter set second", []byte{0x78, 0, 2, 0x09, 0xF0, 0, 2, 0x67, 0x42}, true, true, nil},
		{"aggregate without one", []byte{0x78, 0, 1, 0x68, 0, 1, 0x06}, false, false, nil},
		{"fragment, start of a parameter set", []byte{0x7C, 0x87, 0x42}, true, true, nil},
		{"fragment, start of an IDR", []byte{0x7C, 0x85, 0x88}, false, true, nil},
		{"fragment, its second", []byte{0x7C, 0x07, 0x42}, false, false, nil},
		{"empty aggregate", []byte{0x78}, false, false, codec.ErrDescriptor},
		{"aggregate, unit cut off", []byte{0x78, 0, 3, 0x67, 0x42}, false, false, codec.ErrDescriptor},
		{"aggregate, size cut off", []byte{0x78, 0, 1, 0x67, 0}, false, false, codec.ErrDescriptor},
		{"aggregate, unit of no size", []byte{0x78, 0, 0}, false, false, codec.ErrDescriptor},
		{"fragment without header", []byte{0x7C}, false, false, codec.ErrDescriptor},
		{"fragment without content", []byte{0x7C, 0x87}, false, false, codec.ErrDescriptor},
		{"unit type 0", []byte{0x60, 1}, false, false, codec.ErrDescriptor},
		{"interleaved mode", []byte{0x79, 0, 0, 0, 1, 0x67}, false, false, codec.ErrDescriptor},
		{"reserved", []byte{0x7F, 1}, false, false, codec.ErrDescriptor},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := codec.Packet{Payload: tt.payload}
			if err := p.ParsePayload(codec.H264); !errors.Is(err, tt.err) {
				t.Fatalf("ParsePayload: %v, want %v", err, tt.err)
			}
			if p.KeyFrame != tt.key || p.FrameStart != tt.start {
				t.Errorf("key %t, start %t; want %t, %t", p.KeyFrame, p.FrameStart, tt.key, tt.start)
			}
		})
	}
}

func TestParseOpus(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload []byte
		key     bool
	}{
		{"frame", []byte{0x78, 1, 2}, true},
		{"discontinuous transmission", []byte{0x78}, true},
		{"nothing but padding", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := codec.Packet{Payload: tt.payload}
			if err := p.ParsePayload(codec.Opus); err != nil || p.KeyFrame != tt.key || p.FrameStart != tt.key {
				t.Errorf("key %t, start %t, %v", p.KeyFrame, p.FrameStart, err)
			}
		})
	}
}

func TestUnknownCodec(t *testing.T) {
	p := codec.Packet{Payload: []byte{1}}
	if err := p.ParsePayload(0); !errors.Is(err, codec.ErrUnknown) {
		t.Errorf("ParsePayload(0): %v", err)
	}
}
