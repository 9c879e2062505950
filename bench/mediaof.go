package bench

import "github.com/bedside-video/bedside/bench/scenario"

// MediaOf is what the people of a scenario's group publish.
func MediaOf(g scenario.Group) Media {
	m := Media{Camera: videoOf(g.Camera), Screen: videoOf(g.Screen)}
	if g.Mic != nil {
		m.Mic = &Audio{Bitrate: g.Mic.Bitrate, Level: Microphone().Level, Talks: g.Mic.Talks, DTX: g.Mic.DTX}
	}
	return m
}

func videoOf(v *scenario.Video) *Video {
	if v == nil {
		return nil
	}
	out := &Video{FPS: v.FPS, Temporal: v.Temporal, Constant: v.Constant}
	for _, l := range v.Layers {
		out.Layers = append(out.Layers, Layer(l))
	}
	return out
}
