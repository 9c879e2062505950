package uplink

const (
	// lossy of enoughPackets is more than chance takes of a call that goes on: 30 in 100 at a chance of 15 are four
	// standard deviations.
	lossy         = 0.3
	enoughPackets = 100
	// dim of enoughPictures is more still: pictures come in bursts, which a queue that is full of them drops first.
	dim            = 0.5
	enoughPictures = 40
	// hole is how many in a row are no longer lost to a queue, nor by chance: the network was gone.
	hole = 12
)

// losses counts what is lost of a voice.
type losses struct {
	known    bool
	seq      uint16
	lost, of int
}

// packet notes a packet that is newer than all before it, and tells whether too many of the last enoughPackets are lost, or
// whether the network was gone.
func (l *losses) packet(seq uint16) (tooMany, gone bool) {
	lost := int(seq - l.seq - 1)
	was := l.known
	l.known, l.seq = true, seq
	if !was || lost > hole {
		l.lost, l.of = 0, 0
		return false, was
	}
	l.lost += lost
	if l.of += lost + 1; l.of < enoughPackets {
		return false, false
	}
	tooMany = float64(l.lost) > lossy*float64(l.of)
	l.lost, l.of = 0, 0
	return tooMany, false
}

// pictures counts what is lost of pictures.
type pictures struct{ lost, of uint64 }

// counted takes how many packets of pictures have been lost of how many so far, and tells whether too many of the last
// enoughPictures are. Those of while the network was gone do not count.
func (p *pictures) counted(lost, of uint64, gone bool) (tooMany bool) {
	if !gone && of < p.of+enoughPictures && of >= p.of {
		return false
	}
	tooMany = !gone && of > p.of && lost > p.lost && float64(lost-p.lost) > dim*float64(of-p.of)
	p.lost, p.of = lost, of
	return tooMany
}
