package forward

import (
	"encoding/binary"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Out is how one packet leaves one slot. It is small (16 bytes) because History keeps one for each
// packet sent.
type Out struct {
	Timestamp uint32
	Seq       uint16
	PictureID uint16 // where the packet has one, in its own width
	TL0PICIDX uint8  // where the packet has one
	Switched  bool   // this packet is the first of its encoding: what came before it is over

	fields      fields
	tookTL0     uint8 // what Patch overwrites
	tookPicture uint16
}

// fields says what a packet's VP8 descriptor has.
type fields uint8

const (
	hasPictureID fields = 1 << iota
	wide                // the PictureID has 15 bits
	hasTL0PICIDX
)

// Patch writes PictureID and TL0PICIDX into the payload this Out was made from, in place and in
// their own widths: the packets of one burst must keep their sizes to be sent with one UDP GSO
// call. Restore undoes it, so that a payload shared by many receivers is never copied.
func (o *Out) Patch(payload []byte) { o.write(payload, o.PictureID, o.TL0PICIDX) }

// Restore puts back what Patch overwrote.
func (o *Out) Restore(payload []byte) { o.write(payload, o.tookPicture, o.tookTL0) }

func (o *Out) write(payload []byte, pictureID uint16, tl0 uint8) {
	at := codec.PictureIDAt
	switch {
	case o.fields&wide != 0:
		binary.BigEndian.PutUint16(payload[at:], 0x8000|pictureID)
		at += 2
	case o.fields&hasPictureID != 0:
		payload[at] = byte(pictureID)
		at++
	}
	if o.fields&hasTL0PICIDX != 0 {
		payload[at] = tl0
	}
}

// describe notes which numbers the descriptor has, and what they are.
func (o *Out) describe(d codec.Descriptor) {
	switch d.PictureIDBits {
	case 7:
		o.fields |= hasPictureID
	case 15:
		o.fields |= hasPictureID | wide
	}
	if d.HasTL0PICIDX {
		o.fields |= hasTL0PICIDX
	}
	o.tookPicture, o.tookTL0 = d.PictureID, d.TL0PICIDX
}
