package sfu

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/sfu/bwe"
)

// pathMetrics tell what is estimated of the ways to all participants together.
type pathMetrics struct {
	estimates       prometheus.Histogram
	estimateStates  [bwe.Stalled + 1]prometheus.Counter
	probes, padding prometheus.Counter
}

func newPathMetrics(reg *registrar) pathMetrics {
	m := pathMetrics{
		estimates: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bedside_bwe_bitrate", Help: "Estimated bit/s to each participant, once a second.",
			// The steps of the camera ladder, and what the pre-call check warns of.
			Buckets: []float64{60e3, 180e3, 330e3, 600e3, 1e6, 2e6, 4e6, 8e6},
		}),
		probes:  reg.counter("bedside_bwe_probes_total", "Probes for more bandwidth.", nil),
		padding: reg.counter("bedside_bwe_padding_bytes_total", "Bytes of padding sent for them.", nil),
	}
	reg.register(m.estimates)
	for s := range m.estimateStates {
		m.estimateStates[s] = reg.counter("bedside_bwe_states_total", "States that estimators entered.",
			prometheus.Labels{"state": bwe.State(s).String()})
	}
	return m
}
