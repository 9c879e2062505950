package bwe_test

import (
	"time"

	piontwcc "github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// Of RFC 8867 section 4: video of 30 frames/s that follows the estimate, audio of 20 kbit/s.
const (
	mediaMin   = 150_000
	mediaMax   = 3_000_000
	mediaStart = 300_000
	audioBytes = 50 // each 20 ms
	overhead   = 40 // of a packet: IP, UDP, RTP, SRTP
	maxPayload = 1100
)

// media is one flow with its sender and its receiver.
type media struct {
	w         *world
	e         *bwe.Estimator
	history   bwe.History
	fwd, back int
	out, in   *bottleneck
	delay     time.Duration
	seq       uint16
	number    uint32
	sentAt    map[uint32]time.Duration
	est       bwe.Estimate
	probeFrom time.Duration
	probed    int // bytes sent since probeFrom
	paused    bool
	limit     int // bit/s that the source has at most, 0: as much as is wanted
	source    func(estimate int) int
	busy      busy
	voices    int // that are sent beside, whatever the estimate: Opus at 24 kbit/s

	recorder  *piontwcc.Recorder // the client's
	told      twcc.Feedback
	inFlight  map[uint32]rtcp.Packet
	fbNumber  uint32
	got       []int // bytes that arrived, per tenth of a second
	rates     []int // the estimate, likewise
	queues    []float64
	queueSum  []float64 // seconds, per tenth of a second
	queueN    []int
	states    []bwe.Estimate
	dropAcks  float64 // share of feedback that is lost
	feedEvery time.Duration
}

// newMedia adds a flow that begins at start, over one-way delays of delay in each direction.
func newMedia(w *world, start, delay time.Duration) *media { return newFlow(w, start, delay, false) }

// newFlow is newMedia; reverse sends it the other way.
func newFlow(w *world, start, delay time.Duration, reverse bool) *media {
	return newFlowOf(w, bwe.Config{Min: mediaMin, Max: mediaMax, Start: mediaStart}, start, delay, reverse)
}

func newFlowOf(w *world, c bwe.Config, start, delay time.Duration, reverse bool) *media {
	m := &media{
		w: w, e: bwe.New(c), delay: delay,
		sentAt: map[uint32]time.Duration{}, inFlight: map[uint32]rtcp.Packet{}, recorder: piontwcc.NewRecorder(1),
		feedEvery: 50 * time.Millisecond,
	}
	m.est = m.e.Tick(w.clock(), time.Time{})
	m.out, m.in = w.fwd, w.back
	if reverse {
		m.out, m.in = w.back, w.fwd
	}
	m.fwd = m.out.own(delay, m.arrive)
	m.back = m.in.own(delay, m.feedback)
	phase := time.Duration(w.random.IntN(33)) * time.Millisecond
	w.every(start+phase, time.Second/30, m.frame)
	w.every(start+phase, 20*time.Millisecond, func() {
		if !m.paused && m.voices == 0 {
			m.send(audioBytes+overhead, 0)
		}
		for range m.voices {
			m.send(voicePacket, 0)
		}
	})
	w.every(start+phase, m.feedEvery, m.report)
	w.every(start, 5*time.Millisecond, m.pad)
	w.every(start, 25*time.Millisecond, m.tick)
	w.every(0, 100*time.Millisecond, func() {
		m.rates = append(m.rates, m.est.Bitrate)
		m.states = append(m.states, m.est)
	})
	return m
}

func (m *media) tick() {
	waiting, _ := m.history.Waiting()
	m.est = m.e.Tick(m.w.clock(), waiting)
}

// frame sends one frame's packets at 2.5 times the rate, as a browser's pacer does.
func (m *media) frame() {
	rate := m.est.Bitrate
	if m.limit > 0 {
		rate = min(rate, m.limit)
	}
	if m.source != nil {
		rate = m.source(m.est.Bitrate)
	}
	if m.paused {
		return
	}
	audio := (audioBytes + overhead) * 8 * 50
	if m.voices > 0 {
		if rate <= m.sound() {
			return
		}
		audio = m.sound()
	}
	size := float64(max(rate-audio, 20_000)) / 8 / 30
	size *= 0.8 + 0.4*m.w.random.Float64()
	n := int(size)/(maxPayload+overhead) + 1
	for i := range n {
		m.w.after(time.Duration(i)*time.Second/30*2/5/time.Duration(n), func() { m.send(int(size)/n, 0) })
	}
}

// voicePacket is 20 ms of Opus at 24 kbit/s, with its headers.
const voicePacket = 60 + 56

// padPacket is the most padding that a packet holds, with its headers.
const padPacket = 255 + 56

// sound is what the voices take in bit/s.
func (m *media) sound() int { return m.voices * voicePacket * 8 * 50 }

// pad sends what a probe asks for beside the media.
func (m *media) pad() {
	p := m.est.Probe
	if p.ID == 0 || m.w.clock().After(p.Until) {
		m.probeFrom = m.w.now
		m.probed = 0
		return
	}
	want := int(float64(p.Bitrate) / 8 * (m.w.now - m.probeFrom).Seconds())
	for m.probed < want {
		m.send(padPacket, p.ID)
	}
}

func (m *media) send(size int, _ uint8) {
	m.seq++
	m.number++
	id := uint8(0)
	if p := m.est.Probe; p.ID != 0 && !m.w.clock().After(p.Until) {
		id = p.ID
	}
	m.history.Sent(m.w.clock(), m.seq, size, id)
	m.probed += size
	m.sentAt[m.number] = m.w.now
	if !m.out.send(m.fwd, m.number, size) {
		delete(m.sentAt, m.number)
	}
}

func (m *media) arrive(number uint32, size int) {
	if b := &m.busy; m.w.now >= b.from && m.w.now < b.read {
		b.read += 2 * time.Millisecond
		m.w.at(b.read, func() { m.take(number, size) })
		return
	}
	m.take(number, size)
}

// busy is a time in which the client reads nothing; then one packet after another, until it has caught up.
type busy struct{ from, until, read time.Duration }

func (m *media) take(number uint32, size int) {
	at := int(m.w.now / (100 * time.Millisecond))
	for len(m.got) <= at {
		m.got, m.queueSum, m.queueN = append(m.got, 0), append(m.queueSum, 0), append(m.queueN, 0)
	}
	m.got[at] += size
	q := (m.w.now - m.sentAt[number] - m.delay).Seconds()
	delete(m.sentAt, number)
	m.queues = append(m.queues, q)
	m.queueSum[at] += q
	m.queueN[at]++
	m.recorder.Record(7, uint16(number), (m.w.now + time.Hour).Microseconds())
}

// report sends the receiver's feedback.
func (m *media) report() {
	if m.w.now >= m.busy.from && m.w.now < m.busy.until {
		return
	}
	for _, p := range m.recorder.BuildFeedbackPacket() {
		if m.w.random.Float64() < m.dropAcks {
			continue
		}
		m.fbNumber++
		m.inFlight[m.fbNumber] = p
		if !m.in.send(m.back, m.fbNumber, p.MarshalSize()+overhead) {
			delete(m.inFlight, m.fbNumber)
		}
	}
}

func (m *media) feedback(number uint32, _ int) {
	b, err := m.inFlight[number].Marshal()
	if err == nil {
		err = m.told.Parse(b)
	}
	if err != nil {
		panic(err)
	}
	delete(m.inFlight, number)
	m.e.RTT(2 * m.delay)
	m.e.Feedback(m.w.clock(), m.history.Acknowledge(&m.told, nil))
	m.tick()
}

// rate is what arrived between two times, in bit/s.
func (m *media) rate(from, to time.Duration) float64 {
	sum := 0
	for i := int(from / (100 * time.Millisecond)); i < min(len(m.got), int(to/(100*time.Millisecond))); i++ {
		sum += m.got[i]
	}
	return float64(sum) * 8 / (to - from).Seconds()
}
