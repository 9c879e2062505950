package port

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// tcpDrop is why a connection came through no door.
type tcpDrop uint8

const (
	tcpSilent tcpDrop = iota
	tcpUnknown
	tcpHandshake
	tcpPlainHTTP
	tcpCrowded
	tcpNotServed
	tcpDrops
	tcpServed // it did
)

func (d tcpDrop) String() string {
	return [...]string{"silent", "unknown_protocol", "tls_handshake", "plain_http", "crowded", "not_served"}[d]
}

// tcpCounters are all that is kept of strangers' connections.
type tcpCounters struct {
	served            [doors]atomic.Uint64
	dropped           [tcpDrops]atomic.Uint64
	handshakeFailures prometheus.Counter
}

func newTCPCounters() tcpCounters {
	return tcpCounters{handshakeFailures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "bedside_tls_handshake_failures_total",
		Help: "TLS handshakes that failed: a certificate that clients do not take, or strangers trying.",
	})}
}

func (c *tcpCounters) drop(d tcpDrop) { c.dropped[d].Add(1) }

func (c *tcpCounters) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	all := []prometheus.Collector{c.handshakeFailures}
	for i := range c.served {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "bedside_tcp_connections_total",
			Help:        "TCP connections served, by what they speak.",
			ConstLabels: prometheus.Labels{"protocol": doorName(i)},
		}, load(&c.served[i])))
	}
	for d := range tcpDrops {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "bedside_tcp_dropped_total",
			Help:        "TCP connections closed before anything served them, by reason.",
			ConstLabels: prometheus.Labels{"reason": d.String()},
		}, load(&c.dropped[d])))
	}
	for _, m := range all {
		if err := r.Register(m); err != nil {
			return err
		}
	}
	return nil
}
