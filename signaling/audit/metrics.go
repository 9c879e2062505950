package audit

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reason is an ErrUnavailable with the word by which metrics count it.
type reason struct{ word, text string }

func (r reason) Error() string { return ErrUnavailable.Error() + ": " + r.text }
func (r reason) Unwrap() error { return ErrUnavailable }

// Why a log cannot take a record.
const (
	reasonStuck   = "stuck"
	reasonClosed  = "closed"
	reasonLow     = "low"
	reasonBacklog = "backlog"
	reasonDisk    = "disk"
	reasonInvalid = "invalid"
	reasonGone    = "gone" // the caller did not wait
)

var (
	errStuck   error = reason{reasonStuck, "the disk does not answer"}
	errClosed  error = reason{reasonClosed, "it is closed"}
	errLow     error = reason{reasonLow, "too little free space"}
	errBacklog error = reason{reasonBacklog, "tiles cannot be written"}
)

// metrics are nil where nobody wants them.
type metrics struct {
	records  prometheus.Counter
	failures *prometheus.CounterVec
	duration prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, d *disk) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &metrics{
		records: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bedside_audit_records_total", Help: "Audit records written since the start."}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedside_audit_failures_total", Help: "Calls that could not be recorded, by reason. Any increase wants attention."}, []string{"reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bedside_audit_append_seconds", Help: "Time until audit records are on disk.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .025, .1, .5, 2.5}}),
	}
	for _, word := range []string{reasonStuck, reasonClosed, reasonLow, reasonBacklog, reasonDisk, reasonInvalid, reasonGone} {
		m.failures.WithLabelValues(word)
	}
	free := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bedside_audit_free_ratio", Help: "Part of the audit log's disk that is free, 0 to 1; NaN if unknown."},
		func() float64 {
			ratio, err := d.free()
			if err != nil {
				return math.NaN()
			}
			return ratio
		})
	for _, c := range []prometheus.Collector{m.records, m.failures, m.duration, free} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) appended(records int, took time.Duration) {
	if m == nil {
		return
	}
	m.records.Add(float64(records))
	m.duration.Observe(took.Seconds())
}

func (m *metrics) failed(err error) {
	if m == nil {
		return
	}
	word := reasonGone
	if r, ok := errors.AsType[reason](err); ok {
		word = r.word
	} else if errors.Is(err, ErrInvalid) {
		word = reasonInvalid
	}
	m.failures.WithLabelValues(word).Inc()
}
