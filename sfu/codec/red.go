package codec

import "errors"

// RED (RFC 2198) carries a packet's payload behind those of earlier packets, oldest first:
//
//	 0                   1                   2                   3
//	|1| block type  |  timestamp offset         |   block length    |   for each earlier one
//	|0| block type  |                                                   for the packet's own
//
// and then the blocks in that order. An offset says by how much a block is older.

// Limits of RED. Offset and length are what the header's fields hold.
const (
	MaxREDOffset = 1<<14 - 1 // 341 ms of Opus
	MaxREDLength = 1<<10 - 1
	// MaxREDBlocks is how many earlier payloads a packet may carry. Chromium carries one, nine at
	// most (kRedNumberOfRedundantEncodings and its field trial, audio_encoder_copy_red.cc).
	MaxREDBlocks = 9

	redHeader = 4
)

// ErrRED tells that a payload is no RED that can be read.
var ErrRED = errors.New("codec: malformed redundancy")

// Block is the payload of one packet inside another.
type Block struct {
	Offset  uint16 // in timestamp units, before the packet's own
	Payload []byte
}

// RED is what a redundant payload consists of. Its slices alias what was parsed.
type RED struct {
	Primary []byte // the packet's own
	n       int
	blocks  [MaxREDBlocks]Block
}

// Blocks are the earlier payloads, oldest first.
func (r *RED) Blocks() []Block { return r.blocks[:r.n] }

// Parse reads the RED payload b, all blocks of which must be of type pt. After an error r is of no use.
func (r *RED) Parse(b []byte, pt uint8) error {
	r.n, r.Primary = 0, nil
	head, size := b, 0
	var lengths [MaxREDBlocks]int
	for len(head) > 0 && head[0]&0x80 != 0 {
		if r.n == MaxREDBlocks || len(head) < redHeader || head[0]&0x7F != pt {
			return ErrRED
		}
		r.blocks[r.n].Offset = uint16(head[1])<<6 | uint16(head[2])>>2
		lengths[r.n] = int(head[2]&3)<<8 | int(head[3])
		size += lengths[r.n]
		r.n++
		head = head[redHeader:]
	}
	if len(head) < 1+size || head[0] != pt {
		return ErrRED
	}
	body := head[1:]
	for i := range r.n {
		r.blocks[i].Payload = body[:lengths[i]:lengths[i]]
		body = body[lengths[i]:]
	}
	r.Primary = body
	return nil
}

// AppendRED appends primary behind blocks, of which the oldest comes first, to buf. Blocks and offsets
// must be within the limits. The type of the blocks is 0 until SetREDType sets it.
func AppendRED(buf []byte, blocks []Block, primary []byte) []byte {
	for _, b := range blocks {
		n := len(b.Payload)
		buf = append(buf, 0x80, byte(b.Offset>>6), byte(b.Offset<<2)|byte(n>>8), byte(n))
	}
	buf = append(buf, 0)
	for _, b := range blocks {
		buf = append(buf, b.Payload...)
	}
	return append(buf, primary...)
}

// SetREDType writes the payload type of the blocks into what AppendRED made of so many earlier ones: it
// differs from receiver to receiver.
func SetREDType(b []byte, blocks int, pt uint8) {
	for i := range blocks {
		b[i*redHeader] = 0x80 | pt
	}
	b[blocks*redHeader] = pt
}
