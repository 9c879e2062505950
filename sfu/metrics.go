package sfu

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/sfu/forward"
)

// verdicts is the length of an array indexed by forward.Verdict.
const verdicts = int(forward.DropLayer) + 1

// metrics of the media plane. No label holds a person, a consultation or an address.
type metrics struct {
	rooms, peers prometheus.Gauge
	verdicts     [verdicts]prometheus.Counter
	received     prometheus.Counter
	duplicates   prometheus.Counter
	lobby        prometheus.Counter
	muted        prometheus.Counter
	nacksSent    prometheus.Counter
	repaired     prometheus.Counter
	redundant    prometheus.Counter
	retransmits  prometheus.Counter
	retransmitNo prometheus.Counter
	keyRequests  prometheus.Counter
	thinUplinks  prometheus.Counter
	violations   map[string]prometheus.Counter
	pathMetrics
}

// Invariants whose violations are counted; each must stay 0 for ever.
const (
	invariantHiddenSubscriber = "hidden_subscriber"
	invariantLobby            = "lobby"
)

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	reg := &registrar{r: r}
	m := &metrics{
		rooms:        reg.gauge("bedside_rooms", "Consultations with a media plane."),
		peers:        reg.gauge("bedside_peers", "Participants with a media connection."),
		received:     reg.counter("bedside_rtp_received_total", "RTP packets received in rooms, before deduplication.", nil),
		duplicates:   reg.counter("bedside_rtp_duplicates_total", "RTP packets received again, mostly bandwidth probes.", nil),
		lobby:        reg.counter("bedside_lobby_packets_total", "RTP packets from people who were not admitted; all dropped.", nil),
		muted:        reg.counter("bedside_muted_packets_total", "RTP packets of muted sources; all dropped.", nil),
		nacksSent:    reg.counter("bedside_nacks_sent_total", "Packets asked for again from publishers.", nil),
		repaired:     reg.counter("bedside_rtp_repaired_total", "RTP packets received as retransmissions or in later ones (RED).", nil),
		redundant:    reg.counter("bedside_audio_redundant_total", "Audio packets sent to subscribers with earlier ones in them (RED).", nil),
		retransmits:  reg.counter("bedside_retransmitted_total", "Packets retransmitted to subscribers.", nil),
		retransmitNo: reg.counter("bedside_retransmit_misses_total", "Packets asked for again that were gone, or asked for too often.", nil),
		keyRequests:  reg.counter("bedside_keyframe_requests_total", "Key frames asked for from publishers.", nil),
		thinUplinks:  reg.counter("bedside_uplinks_full_total", "Times that a participant was told a limit because a thin uplink was full.", nil),
		violations:   map[string]prometheus.Counter{},
	}
	m.pathMetrics = newPathMetrics(reg)
	for v := range verdicts {
		m.verdicts[v] = reg.counter("bedside_rtp_decisions_total", "Decisions about RTP packets, one for each subscription.",
			prometheus.Labels{"verdict": forward.Verdict(v).String()})
	}
	for _, i := range []string{invariantHiddenSubscriber, invariantLobby} {
		m.violations[i] = reg.counter("bedside_invariant_violations_total", "Must be 0: alert on anything else.",
			prometheus.Labels{"invariant": i})
	}
	return m, reg.err
}

// registrar keeps the first error, so that the list above reads as one.
type registrar struct {
	r   prometheus.Registerer
	err error
}

func (r *registrar) register(c prometheus.Collector) {
	if r.r != nil && r.err == nil {
		r.err = r.r.Register(c)
	}
}

func (r *registrar) counter(name, help string, labels prometheus.Labels) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	r.register(c)
	return c
}

func (r *registrar) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	r.register(g)
	return g
}

// tally counts what the packet path of one publisher does. The path adds to it, the publisher's
// control goroutine moves it to the metrics: counters that all publishers share would be the one
// thing on the path that they contend for.
type tally struct {
	received, duplicates, lobby, muted, repaired, redundant, nacks atomic.Uint64
	verdicts                                                       [verdicts]atomic.Uint64
}

func (t *tally) flush(m *metrics) {
	for _, x := range []struct {
		from *atomic.Uint64
		to   prometheus.Counter
	}{
		{&t.received, m.received}, {&t.duplicates, m.duplicates}, {&t.lobby, m.lobby},
		{&t.muted, m.muted}, {&t.repaired, m.repaired}, {&t.redundant, m.redundant}, {&t.nacks, m.nacksSent},
	} {
		if x.from.Load() > 0 {
			x.to.Add(float64(x.from.Swap(0)))
		}
	}
	for v := range t.verdicts {
		if t.verdicts[v].Load() > 0 {
			m.verdicts[v].Add(float64(t.verdicts[v].Swap(0)))
		}
	}
}
