package port

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// dropReason is why a datagram went nowhere.
type dropReason uint8

const (
	dropUnknown dropReason = iota
	dropSTUNMalformed
	dropSTUNOther
	dropUnknownUfrag
	dropUnauthenticated
	dropTURN
	dropDTLS
	dropUnknownAddress
	dropQueueFull
	dropReasons
)

func (r dropReason) String() string {
	return [...]string{
		"unknown_protocol", "stun_malformed", "stun_not_a_request", "stun_unknown_ufrag", "stun_unauthenticated",
		"turn_disabled", "dtls_invalid_record", "unknown_address", "queue_full",
	}[r]
}

// counters are written by the reader and by every sender, so they are atomics; a hostile flood
// costs a counter, never a log line.
type counters struct {
	received, sent          atomic.Uint64
	readErrors, writeErrors atomic.Uint64
	dropped                 [dropReasons]atomic.Uint64
}

func (c *counters) drop(r dropReason) { c.dropped[r].Add(1) }

func (c *counters) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, m := range []struct {
		name, help string
		value      *atomic.Uint64
	}{
		{"bedside_udp_datagrams_received_total", "Datagrams delivered to a participant's connection.", &c.received},
		{"bedside_udp_datagrams_sent_total", "Datagrams sent.", &c.sent},
		{"bedside_udp_read_errors_total", "Errors reading the socket; each was retried.", &c.readErrors},
		{"bedside_udp_write_errors_total", "Datagrams the kernel refused.", &c.writeErrors},
	} {
		f := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.name, Help: m.help}, load(m.value))
		if err := r.Register(f); err != nil {
			return err
		}
	}
	for reason := range dropReasons {
		f := prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "bedside_udp_datagrams_dropped_total",
			Help:        "Datagrams dropped before anything looked into them, by reason.",
			ConstLabels: prometheus.Labels{"reason": reason.String()},
		}, load(&c.dropped[reason]))
		if err := r.Register(f); err != nil {
			return err
		}
	}
	return nil
}

func load(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
