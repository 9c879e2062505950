package bench

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/signaling/wire"
)

// publication is one published track: its encodings and what makes their frames.
type publication struct {
	source    wire.Source
	interval  time.Duration
	encodings []*encoding
	mid       string // set by the offer

	mu       sync.Mutex
	encoders []*encoder // of a video track
	voice    *voice     // of an audio track
	stopped  []bool     // per encoding, by StopLayer
	unwanted []bool     // per encoding, by the server's layers message
	muted    bool
	libvpx   bool // Video.Libvpx
	hidden   bool // a screen that is not being shared
	held     bool // the participant is not in the room
	due      time.Time
	sender   *sender // nil: does at once as it is told, and shares nothing
	orders   []order
	packing  packing             // of a voice
	late     func(time.Duration) // told of each frame how long after it was due it is sent
}

func newVideo(source wire.Source, v *Video, stream string, rng *rand.Rand) *publication {
	p := &publication{
		source: source, interval: time.Second / time.Duration(v.FPS), libvpx: v.Libvpx,
		stopped: make([]bool, len(v.Layers)), unwanted: make([]bool, len(v.Layers)),
	}
	for i, l := range v.Layers {
		p.encoders = append(p.encoders, newEncoder(v, source, i, rng))
		p.encodings = append(p.encodings, newEncoding(source, stream, l.RID, true, 90000, rng))
	}
	return p
}

func newAudio(source wire.Source, a *Audio, stream string, rng *rand.Rand) *publication {
	e := newEncoding(source, stream, "", false, 48000, rng)
	e.redundancy = a.Redundancy
	return &publication{
		source: source, interval: audioFrame, stopped: make([]bool, 1),
		voice:     &voice{source: sourceNumber(source), audio: *a, rng: rng, buffers: newBuffers(rng)},
		encodings: []*encoding{e},
	}
}

func newEncoding(source wire.Source, stream, rid string, video bool, rate uint32, rng *rand.Rand) *encoding {
	e := &encoding{stream: stream, source: source, rid: rid, ridBytes: []byte(rid), video: video, clockRate: rate}
	e.numbers = numbering{sequence: uint16(rng.Uint32()), rtxSequence: uint16(rng.Uint32()), base: rng.Uint32()}
	e.report = SentReport{Source: source, RID: rid}
	return e
}

// setMid tells the track the m-line it is sent on.
func (p *publication) setMid(mid string) {
	p.mid = mid
	for _, e := range p.encodings {
		e.setMid(mid)
	}
}

// start sets who sends and when the first frame is due, and whom to tell how late frames are.
func (p *publication) start(participant string, first time.Time, late func(time.Duration)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.encoders {
		e.sender = SenderHash(participant)
		e.restart()
	}
	if p.voice != nil {
		p.voice.sender = SenderHash(participant)
	}
	p.due, p.late = first, late
}

// tick sends what is due at now and returns when the next frame is.
func (p *publication) tick(now time.Time) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.due) {
		return p.due, nil
	}
	p.obey(now)
	for !now.Before(p.due) { // more than once: frames that are not sent any more
		p.late(now.Sub(p.due))
		p.due = p.due.Add(p.interval)
	}
	if p.muted || p.hidden || p.held {
		return p.due, nil
	}
	if p.voice != nil {
		return p.due, p.speak(now)
	}
	p.share()
	var errs []error
	for i, e := range p.encoders {
		if !p.stopped[i] && !p.unwanted[i] && e.bounds.room >= 0 {
			errs = append(errs, p.encodings[i].send(now, e.frame(now), 0, e.buffers.put))
		}
	}
	return p.due, errors.Join(errs...)
}

// setMuted stops or restarts the track; a video track restarts with a key frame.
func (p *publication) setMuted(muted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted = muted
	p.restart()
}

// setHidden stops or restarts the sharing of a screen.
func (p *publication) setHidden(hidden bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hidden = hidden
	p.restart()
}

// setHeld stops or restarts the track because of where the participant stands.
func (p *publication) setHeld(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != held {
		p.held = held
		p.restart()
	}
}

// setStopped stops or restarts one encoding, as a browser does that runs short of bandwidth or CPU.
func (p *publication) setStopped(index int, stopped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped[index] = stopped
	if !stopped {
		p.encoders[index].restart()
	}
}

// setWanted stops the encodings of a video track that are not named, and restarts the others; those that are bounded
// are sent with so many bit/s at most, without a key frame (libwebrtc, RequiresEncoderReset: bitrates are no reason). The
// caller holds mu.
func (p *publication) setWanted(rids []string, bounds map[string]int) {
	for i := range p.unwanted {
		p.encoders[i].bounds.asked = bounds[p.encodings[i].rid]
		was := p.unwanted[i]
		p.unwanted[i] = !slices.Contains(rids, p.encodings[i].rid)
		if was && !p.unwanted[i] {
			p.encoders[i].restart()
		}
	}
}

// ask bounds the bitrate of a voice, 0 for no bound, and says how much is in a packet and which packets each carries;
// none: as it was configured. The caller holds mu.
func (p *publication) ask(bitrate, ptime int, carry []int) {
	p.voice.bound, p.packing.frames = bitrate, ptime/int(audioFrame.Milliseconds())
	e := p.encodings[0]
	e.mu.Lock()
	defer e.mu.Unlock()
	e.carry = e.carry[:0]
	for _, d := range carry {
		if d > 0 && d < historyPackets && len(e.carry) < maxCarried && e.redundancy > 0 {
			e.carry = append(e.carry, uint16(d))
		}
	}
}

// restart makes key frames due; the caller holds mu.
func (p *publication) restart() {
	for _, e := range p.encoders {
		e.restart()
	}
}

// feedback carries out what RTCP asks of one encoding.
func (p *publication) feedback(now time.Time, index int, packets []rtcp.Packet) error {
	var errs []error
	for _, packet := range packets {
		switch m := packet.(type) {
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			p.requestKey(now, index)
		case *rtcp.ReceiverEstimatedMaximumBitrate:
			if p.sender != nil {
				p.sender.bound(int(m.Bitrate))
			}
		case *rtcp.TransportLayerNack:
			var sequences []uint16
			for _, pair := range m.Nacks {
				sequences = append(sequences, pair.PacketList()...)
			}
			errs = append(errs, p.encodings[index].resend(sequences))
		}
	}
	return errors.Join(errs...)
}

func (p *publication) requestKey(now time.Time, index int) {
	e := p.encodings[index]
	e.mu.Lock()
	e.report.KeyRequests++
	e.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, e := range p.encoders {
		if i == index || p.libvpx {
			e.requestKey(now)
		}
	}
}
