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
	dropReasons
)

func (r dropReason) String() string {
	return [...]string{
		"unknown_protocol", "stun_malformed", "stun_not_a_request", "stun_unknown_ufrag", "stun_unauthenticated",
		"turn_disabled", "dtls_invalid_record", "unknown_address",
	}[r]
}

// counters are written by the reader and by every sender, so they are atomics; a hostile flood
// costs a counter, never a log line.
type counters struct {
	received, sent          atomic.Uint64
	readErrors, writeErrors atomic.Uint64
	dropped                 [dropReasons]atomic.Uint64

	sendDropped   atomic.Uint64 // for want of room
	kernelDropped atomic.Uint64 // by the kernel, for want of room
	gsoRefused    atomic.Uint64 // messages
	paths         pathCounters
	gso           []*atomic.Bool // whether each socket has it in use; none: it never is

	receiveBatch, sendBatch, segments prometheus.Histogram
}

// newCounters returns counters that are 0.
func newCounters() counters {
	sizes := []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}
	return counters{
		receiveBatch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bedside_port_receive_datagrams", Help: "Datagrams that one system call received.", Buckets: sizes}),
		sendBatch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bedside_port_send_datagrams", Help: "Datagrams that one system call sent.", Buckets: sizes}),
		segments: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bedside_port_message_datagrams", Help: "Datagrams that one message was cut into by the kernel (GSO).", Buckets: sizes[:7]}),
	}
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
		{"bedside_port_send_dropped_total", "Datagrams dropped because too many waited to be sent.", &c.sendDropped},
		{"bedside_port_kernel_dropped_total", "Datagrams the kernel dropped because the socket's buffer was full.", &c.kernelDropped},
		{"bedside_path_datagrams_sent_total", "Datagrams handed to paths other than the UDP socket: TCP connections, allocations of the relay.", &c.paths.sent},
		{"bedside_path_datagrams_dropped_total", "Datagrams that such a path had no room for, or that were for one that was gone.", &c.paths.dropped},
		{"bedside_port_gso_refused_total", "Messages the kernel would not cut into datagrams; they were sent one by one.", &c.gsoRefused},
	} {
		f := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.name, Help: m.help}, load(m.value))
		if err := r.Register(f); err != nil {
			return err
		}
	}
	gso := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bedside_port_gso", Help: "1 while the kernel cuts messages into datagrams (GSO), for every socket."}, c.segmenting)
	paths := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bedside_paths", Help: "Ways to clients other than the UDP socket that are open now."}, c.paths.open.load)
	for _, m := range []prometheus.Collector{gso, paths, c.receiveBatch, c.sendBatch, c.segments} {
		if err := r.Register(m); err != nil {
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

func (c *counters) segmenting() float64 {
	for _, on := range c.gso {
		if !on.Load() {
			return 0
		}
	}
	return float64(min(len(c.gso), 1))
}

func load(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
