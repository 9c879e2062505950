package signaling

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/sfu/quality"
)

// opusRate is how many samples a second of sound has.
const opusRate = 48_000

// qualityMetrics are how good connections are, of all people together.
type qualityMetrics struct {
	score     *prometheus.HistogramVec // link
	changes   *prometheus.CounterVec   // link, level
	packets   *prometheus.CounterVec   // link
	lost      *prometheus.CounterVec   // link: uplink, server or downlink
	sound     prometheus.Counter
	concealed prometheus.Counter
	frozen    prometheus.Counter
}

func newQualityMetrics(r prometheus.Registerer) (qualityMetrics, error) {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	one := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	q := qualityMetrics{
		score: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bedside_quality_score", Help: "E-model score of speech over one participant's link alone, 1 to 4.5, every 10 s.",
			Buckets: []float64{1.5, 2, 2.5, 3.1, 3.6, 4.03, 4.3, 4.5}}, []string{"link"}),
		changes:   vec("bedside_quality_level_changes_total", "Changes of the level of a link, by the new level.", "link", "level"),
		packets:   vec("bedside_quality_packets_total", "Packets sent over the links of participants.", "link"),
		lost:      vec("bedside_quality_lost_total", "Packets lost on the way, before retransmission, and those that the server could not send.", "link"),
		sound:     one("bedside_quality_sound_seconds_total", "Sound that clients say they have played."),
		concealed: one("bedside_quality_concealed_seconds_total", "Of that, sound that clients had to make up."),
		frozen:    one("bedside_quality_frozen_seconds_total", "How long clients say that a picture stood still."),
	}
	for _, c := range []prometheus.Collector{q.score, q.changes, q.packets, q.lost, q.sound, q.concealed, q.frozen} {
		if err := r.Register(c); err != nil {
			return q, fmt.Errorf("signaling: metrics: %w", err)
		}
	}
	// A series that appears with its first event has no increase that an alert could see.
	for _, d := range []quality.Direction{quality.Uplink, quality.Downlink} {
		q.score.WithLabelValues(string(d))
		q.packets.WithLabelValues(string(d))
		q.lost.WithLabelValues(string(d))
		for _, l := range []quality.Level{quality.Good, quality.Fair, quality.Poor} {
			q.changes.WithLabelValues(string(d), l.String())
		}
	}
	q.lost.WithLabelValues("server")
	return q, nil
}

// count adds what one connection did.
func (q *qualityMetrics) count(i quality.Interval) {
	for _, x := range []struct {
		d quality.Direction
		l quality.Link
	}{{quality.Uplink, i.Up}, {quality.Downlink, i.Down}} {
		q.packets.WithLabelValues(string(x.d)).Add(float64(x.l.Packets))
		q.lost.WithLabelValues(string(x.d)).Add(float64(x.l.Lost))
	}
	q.lost.WithLabelValues("server").Add(float64(i.Dropped))
}

// changed notes a level that has changed, other than from not being known to good.
func (q *qualityMetrics) changed(d quality.Direction, was, is quality.Level) {
	if is != was && max(was, is) > quality.Good {
		q.changes.WithLabelValues(string(d), is.String()).Inc()
	}
}

// observe takes the scores of one connection.
func (q *qualityMetrics) observe(i quality.Interval) {
	if i.Up.Packets > 0 {
		q.score.WithLabelValues(string(quality.Uplink)).Observe(i.Up.Score(i.RoundTrip))
	}
	if i.Down.Packets > 0 {
		q.score.WithLabelValues(string(quality.Downlink)).Observe(i.Down.Score(i.RoundTrip))
	}
}

// heard adds what one client has played.
func (q *qualityMetrics) heard(h quality.Heard) {
	q.sound.Add(float64(h.Samples) / opusRate)
	q.concealed.Add(float64(h.Concealed) / opusRate)
	q.frozen.Add(h.Frozen.Seconds())
}
