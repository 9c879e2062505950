package recording

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what recordings do. Nothing in them tells who is recorded.
type Metrics struct {
	open      prometheus.Gauge
	failures  *prometheus.CounterVec
	lost      prometheus.Counter
	bytes     prometheus.Counter
	uploading prometheus.Gauge
}

// NewMetrics registers the metrics, also of a server that records nothing: an alert on what does not exist
// never fires.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{Name: "bedside_recordings", Help: "Recordings that go on."}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedside_recording_failures_total", Help: "Times that a recording could not be written, by reason."}, []string{"reason"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bedside_recording_lost_packets_total", Help: "Packets of people who are recorded that are not in the recording."}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bedside_recording_bytes_total", Help: "Bytes written of recordings, sealed and with padding."}),
		uploading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bedside_recording_upload_failing", Help: "1 while finished recordings cannot be uploaded."}),
	}
	for _, reason := range []Reason{NoSpace, Stalled, Broken} {
		m.failures.WithLabelValues(string(reason))
	}
	r.MustRegister(m.open, m.failures, m.lost, m.bytes, m.uploading)
	return m
}
