package signaling

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what operators see. No label holds a person, a consultation or an address: every
// value is one of the protocol's words.
type metrics struct {
	sessions      prometheus.Gauge
	consultations prometheus.Gauge
	joins         *prometheus.CounterVec // outcome: ok or an error code
	messages      *prometheus.CounterVec // type, outcome: ok or an error code
	requests      *prometheus.CounterVec // POST /v1/join, by outcome
	api           *prometheus.CounterVec // requests with an API key, by operation and status
	checks        *prometheus.CounterVec // kind, outcome: ok or an error code
	overflows     prometheus.Counter
	unaudited     prometheus.Counter
	refusals      prometheus.Counter
	draining      prometheus.Gauge
	quality       qualityMetrics
}

const outcomeOK = "ok"

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bedside_sessions", Help: "Sessions that are open: WebSockets, and devices by WHIP and WHEP."}),
		consultations: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bedside_consultations_live", Help: "Consultations in which somebody is connected or may come back."}),
		joins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedside_joins_total", Help: "First messages of sessions and offers by WHIP and WHEP, by outcome."}, []string{"outcome"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedside_messages_total", Help: "Messages from clients after joining, by type and outcome."}, []string{"type", "outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedside_invitations_total", Help: "Invitations shown at POST /v1/join, by outcome."}, []string{"outcome"}),
		api: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedside_api_requests_total", Help: "Requests of scheduling systems, by operation and HTTP status."}, []string{"operation", "status"}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedside_checks_total", Help: "Requests of people who check their connection before a visit, by kind and outcome."}, []string{"kind", "outcome"}),
		overflows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bedside_session_queue_overflows_total", Help: "Sessions closed because their client did not read its messages."}),
		unaudited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bedside_audit_missing_total", Help: "Events that could not be written into the audit log."}),
		refusals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bedside_audit_refusals_skipped_total", Help: "Refusals beyond 10 a second, which are not written into the audit log."}),
	}
	for _, c := range []prometheus.Collector{m.sessions, m.consultations, m.joins, m.messages, m.requests, m.api, m.checks, m.overflows, m.unaudited, m.refusals} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("signaling: metrics: %w", err)
		}
	}
	// A series that appears with its first event has no increase that an alert could see.
	m.joins.WithLabelValues(outcomeOK)
	m.requests.WithLabelValues(outcomeOK)
	m.api.WithLabelValues("create-consultation", "201")
	m.messages.WithLabelValues("offer", outcomeOK)
	for _, kind := range []string{"media", "figures", "download", "upload"} {
		m.checks.WithLabelValues(kind, outcomeOK)
	}
	m.draining = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "bedside_draining", Help: "1 while the server refuses new sessions because it is stopping."})
	if err := r.Register(m.draining); err != nil {
		return nil, fmt.Errorf("signaling: metrics: %w", err)
	}
	var err error
	if m.quality, err = newQualityMetrics(r); err != nil {
		return nil, err
	}
	return m, nil
}
