package scenario

import "github.com/bedside-video/bedside/bench/linkem/link"

const (
	// usable is the share of an uplink that a sender takes: what libwebrtc's estimator falls back to when a
	// link is full (AimdRateControl, beta 0.85).
	usable = 0.85
	// audioOverhead is that of IP, UDP, SRTP and RTP in 50 packets a second.
	audioOverhead = 24_000 // bit/s
	// videoOverhead is the share that these add to packets of video.
	videoOverhead = 1.06
)

// LayersThrough returns how many layers of the camera, the lowest first, go through an uplink beside the
// microphone: at least one. A browser estimates its uplink and stops what does not fit; clients that do
// not are told.
func (g *Group) LayersThrough(up link.Shape) int {
	n := len(g.Camera.Layers)
	rate := lowest(up)
	if rate == 0 {
		return n
	}
	left := usable * rate
	if g.Mic != nil {
		left -= float64(g.Mic.Bitrate) + audioOverhead
	}
	for i, l := range g.Camera.Layers {
		if left -= float64(l.Bitrate) * videoOverhead; left < 0 {
			return max(1, i)
		}
	}
	return n
}

// lowest is the rate of a link where it changes by itself, outages apart; 0 for unlimited.
func lowest(s link.Shape) float64 {
	rate := 0.0
	for _, seg := range s.Rate {
		if r := float64(seg.Rate); r > 0 && (rate == 0 || r < rate) {
			rate = r
		}
	}
	return rate
}
