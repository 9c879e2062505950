package codec

import "strings"

// Name is a codec that the server forwards.
type Name uint8

// The codecs. The zero value is none of them.
const (
	Opus Name = iota + 1
	VP8
	H264
)

func (n Name) String() string {
	switch n {
	case Opus:
		return "opus"
	case VP8:
		return "VP8"
	case H264:
		return "H264"
	}
	return "unknown"
}

// ParseName reads a media type such as "video/VP8". Upper and lower case are the same (RFC 4855
// section 3; "audio/OPUS" exists in the wild). It returns false for a codec that is not forwarded.
func ParseName(mime string) (Name, bool) {
	for _, n := range [...]Name{Opus, VP8, H264} {
		if kind, name, ok := strings.Cut(mime, "/"); ok && strings.EqualFold(kind, n.Kind().String()) && strings.EqualFold(name, n.String()) {
			return n, true
		}
	}
	return 0, false
}

// Kind of the media that the codec codes; 0 for an unknown codec.
func (n Name) Kind() Kind {
	switch n {
	case Opus:
		return Audio
	case VP8, H264:
		return Video
	}
	return 0
}

// ClockRate of the codec's RTP timestamps in Hz (RFC 7587 section 4.1, RFC 7741 section 6.1,
// RFC 6184 section 8.1); 0 for an unknown codec.
func (n Name) ClockRate() uint32 {
	switch n.Kind() {
	case Audio:
		return 48000
	case Video:
		return 90000
	}
	return 0
}
