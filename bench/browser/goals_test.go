package browser_test

import (
	"fmt"
	"time"

	"github.com/bedside-video/bedside/bench/result"
)

// look is what getStats tells of all that a page receives, at one time; what grows is counted from the
// beginning of the connection.
type look struct {
	At              float64 // ms since 1970
	Frames, Freezes int
	Frozen          float64 // s
	Height          int     // of the largest picture
	Samples         float64 // heard, and of these
	Concealed       float64 // made up, silence apart
	Waited, Played  float64 // s of all samples in the jitter buffer, and how many
	Bytes           float64
	Packets         int     // of sound
	Keys, Lost      int     // key frames decoded, packets lost after repair
	Came, Dropped   int     // frames of the picture that came whole, and of these, were not decoded
	Asked           int     // packets asked for again, and
	PLI             int     // key frames
	Held, Emitted   float64 // s of all frames in the jitter buffer, and how many
	Sent            float64 // bytes, and
	Available       float64 // what the browser takes its uplink to carry, bit/s
	Filming         int     // encodings that are sent
}

// recorder looks each 100 ms; goal.looks is what it saw.
const recorder = `globalThis.goal = { looks: [] };
goal.look = async () => {
	const out = { At: performance.timeOrigin + performance.now(), Frames: 0, Freezes: 0, Frozen: 0, Height: 0, Samples: 0, Concealed: 0, Waited: 0, Played: 0, Bytes: 0, Packets: 0, Keys: 0, Lost: 0, Came: 0, Dropped: 0, Asked: 0, PLI: 0, Held: 0, Emitted: 0, Sent: 0, Available: 0, Filming: 0 };
	for (const s of (await bedsideTest.connections.at(-1).getStats()).values()) {
		if (s.type === 'outbound-rtp') {
			out.Sent += s.bytesSent + s.headerBytesSent;
			out.Filming += s.kind === 'video' && s.active ? 1 : 0;
		}
		if (s.type === 'candidate-pair' && s.nominated) out.Available = s.availableOutgoingBitrate ?? 0;
		if (s.type !== 'inbound-rtp') continue;
		out.Bytes += s.bytesReceived + s.headerBytesReceived;
		out.Lost += s.packetsLost;
		if (s.kind === 'video') {
			out.Frames += s.framesDecoded ?? 0;
			out.Keys += s.keyFramesDecoded ?? 0;
			out.Came += s.framesReceived ?? 0;
			out.Dropped += s.framesDropped ?? 0;
			out.Asked += s.nackCount ?? 0;
			out.PLI += s.pliCount ?? 0;
			out.Held += s.jitterBufferDelay ?? 0;
			out.Emitted += s.jitterBufferEmittedCount ?? 0;
			out.Freezes += s.freezeCount ?? 0;
			out.Frozen += s.totalFreezesDuration ?? 0;
			out.Height = Math.max(out.Height, s.frameHeight ?? 0);
			continue;
		}
		out.Packets += s.packetsReceived;
		out.Samples += s.totalSamplesReceived ?? 0;
		out.Concealed += (s.concealedSamples ?? 0) - (s.silentConcealedSamples ?? 0);
		out.Waited += s.jitterBufferDelay ?? 0;
		out.Played += s.jitterBufferEmittedCount ?? 0;
	}
	goal.looks.push(out);
};
goal.timer = setInterval(goal.look, 100);
true`

// received is what came in a while.
type received struct {
	look
	Gap    time.Duration // the longest run of looks that each found sound to be made up: a gap was no longer
	series []look

	left, back time.Duration // of the larger picture, where the link changed: see leftAndBack
}

// sampleRate is what Chromium decodes Opus to.
const sampleRate = 48_000

// between is what came between the first and the last of some looks.
func receivedIn(looks []look) received {
	first, last := looks[0], looks[len(looks)-1]
	r := received{look: last, series: looks}
	r.At -= first.At
	r.Frames -= first.Frames
	r.Freezes -= first.Freezes
	r.Frozen -= first.Frozen
	r.Samples -= first.Samples
	r.Concealed -= first.Concealed
	r.Waited -= first.Waited
	r.Played -= first.Played
	r.Bytes -= first.Bytes
	r.Keys -= first.Keys
	r.Lost -= first.Lost
	run := 0.0
	for i := 1; i < len(looks); i++ {
		if made := looks[i].Concealed - looks[i-1].Concealed; made > 0 {
			run += made
		} else {
			run = 0
		}
		r.Gap = max(r.Gap, time.Duration(run/sampleRate*float64(time.Second)))
	}
	return r
}

func (r received) fps() float64       { return float64(r.Frames) / r.At * 1000 }
func (r received) concealed() float64 { return max(0, r.Concealed) / max(1, r.Samples) }

// waited is how long sound waited in the jitter buffer, on average.
func (r received) waited() time.Duration {
	return time.Duration(r.Waited / max(1, r.Played) * float64(time.Second))
}

// score is the E-model's of the sound, over a path that takes so long one way.
func (r received) score(path time.Duration) float64 {
	if r.Samples <= 0 {
		return 1 // nothing was heard
	}
	return result.Score(r.concealed(), path+r.waited())
}

func (r received) String() string {
	return fmt.Sprintf("%.1f frames/s of %d lines, %d freezes, %.1f s frozen, %.2f %% of the sound concealed, %v in its buffer, gap below %v, %.0f kbit/s, in %.0f s",
		r.fps(), r.Height, r.Freezes, r.Frozen, 100*r.concealed(), r.waited().Round(time.Millisecond), r.Gap.Round(time.Millisecond), r.Bytes*8/r.At, r.At/1000)
}

// never is longer than anything takes.
const never = time.Hour

// leftAndBack is how long after the link got narrow the picture got smaller, and how long after it got wide
// again as large as before; never, if it did not. Who had the small one already has left it at once.
func (r received) leftAndBack(narrow, wide time.Time) (left, back time.Duration) {
	left, back = never, never
	whole := 0
	for _, l := range r.series {
		at := time.UnixMicro(int64(l.At * 1000))
		switch {
		case at.Before(narrow):
			whole = max(whole, l.Height)
		case at.Before(wide):
			if l.Height < whole && left == never {
				left = at.Sub(narrow)
			}
		case l.Height >= whole && back == never:
			back = at.Sub(wide)
		}
	}
	return left.Round(time.Millisecond), back.Round(time.Millisecond)
}
