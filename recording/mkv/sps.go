package mkv

// spsInfo is what a sequence parameter set says that Matroska wants to know.
type spsInfo struct{ width, height int }

// maxSPS bounds a parameter set: those of browsers have some 20 bytes.
const maxSPS = 1 << 10

// parseSPS reads a sequence parameter set (ITU-T H.264 section 7.3.2.1.1) up to the size of the
// picture.
func parseSPS(unit []byte) (spsInfo, error) {
	if len(unit) < 5 || len(unit) > maxSPS {
		return spsInfo{}, errPayload
	}
	b := bitReader{b: unescape(unit[1:])}
	profile := b.read(8)
	b.read(16) // constraints, level
	b.golomb() // seq_parameter_set_id
	chroma := uint32(1)
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		if chroma = b.golomb(); chroma == 3 {
			b.read(1)
		}
		b.golomb() // bit depths
		b.golomb()
		b.read(1)
		if b.read(1) == 1 {
			return spsInfo{}, errPayload // scaling matrices: no encoder for calls sends them
		}
	}
	b.golomb() // log2_max_frame_num_minus4
	switch b.golomb() {
	case 0:
		b.golomb()
	case 1:
		b.read(1)
		b.golomb()
		b.golomb()
		for range min(b.golomb(), 255) {
			b.golomb()
		}
	}
	b.golomb() // max_num_ref_frames
	b.read(1)
	width := 16 * (int(b.golomb()) + 1)
	height := 16 * (int(b.golomb()) + 1)
	if b.read(1) == 0 { // fields
		height *= 2
		b.read(1)
	}
	b.read(1)
	if b.read(1) == 1 {
		x, y := 1, 1
		if chroma == 1 || chroma == 2 {
			x = 2
		}
		if chroma == 1 {
			y = 2
		}
		width -= x * (int(b.golomb()) + int(b.golomb()))
		height -= y * (int(b.golomb()) + int(b.golomb()))
	}
	if b.over || width <= 0 || height <= 0 || width > 1<<14 || height > 1<<14 {
		return spsInfo{}, errPayload
	}
	return spsInfo{width, height}, nil
}

// unescape takes the bytes out that keep start codes from appearing (ITU-T H.264 section 7.4.1).
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	zeros := 0
	for _, x := range b {
		if zeros >= 2 && x == 3 {
			zeros = 0
			continue
		}
		zeros++
		if x != 0 {
			zeros = 0
		}
		out = append(out, x)
	}
	return out
}

// bitReader reads bits, most significant first. Behind the end there are zeros, and over is set.
type bitReader struct {
	b    []byte
	at   int
	over bool
}

func (b *bitReader) read(n int) uint32 {
	var v uint32
	for range n {
		v <<= 1
		if b.at/8 >= len(b.b) {
			b.over = true
			continue
		}
		v |= uint32(b.b[b.at/8]>>(7-b.at%8)) & 1
		b.at++
	}
	return v
}

// golomb reads a number coded as ue(v) (ITU-T H.264 section 9.1).
func (b *bitReader) golomb() uint32 {
	zeros := 0
	for b.read(1) == 0 {
		if zeros++; zeros > 31 || b.over {
			b.over = true
			return 0
		}
	}
	return 1<<zeros - 1 + b.read(zeros)
}
