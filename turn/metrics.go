package turn

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/pion/stun/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// dropReason is why something that was to be relayed, or asked, went nowhere.
type dropReason uint8

const (
	dropMalformed dropReason = iota
	dropUnknownRequest
	dropForbidden
	dropRate
	dropSlow
	dropReasons
)

func (r dropReason) String() string {
	return [...]string{"malformed", "unknown_request", "forbidden", "rate", "slow_client"}[r]
}

// stats count what the relay does. Nothing in them tells who a client is.
type stats struct {
	requests *prometheus.CounterVec
	up, down flow
	silenced atomic.Uint64
	dropped  [dropReasons]atomic.Uint64
	messages messages
}

// flow is one direction.
type flow struct{ packets, bytes atomic.Uint64 }

func (f *flow) count(size int) {
	f.packets.Add(1)
	f.bytes.Add(uint64(size))
}

// messages are there to be used again.
type messages struct{ pool sync.Pool }

func (m *messages) get() *stun.Message {
	if x, ok := m.pool.Get().(*stun.Message); ok {
		return x
	}
	return &stun.Message{Raw: make([]byte, 0, maxMessage)}
}

func (m *messages) put(x *stun.Message) { m.pool.Put(x) }

func newStats() stats { return stats{requests: newRequests()} }

// newRequests counts requests; what can be granted is there from the start.
func newRequests() *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "bedside_turn_requests_total", Help: "Requests to the relay, by method and outcome: success, or the code of the error.",
	}, []string{"method", "outcome"})
	for _, m := range []stun.Method{stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
		v.WithLabelValues(method(m), "success")
	}
	return v
}

func (s *stats) drop(r dropReason) { s.dropped[r].Add(1) }

func (s *stats) granted(m stun.Method) { s.requests.WithLabelValues(method(m), "success").Inc() }

func (s *stats) refused(m stun.Method, code stun.ErrorCode) {
	s.requests.WithLabelValues(method(m), strconv.Itoa(int(code))).Inc()
}

// method names one that is handled; there are four.
func method(m stun.Method) string {
	switch m {
	case stun.MethodAllocate:
		return "allocate"
	case stun.MethodRefresh:
		return "refresh"
	case stun.MethodCreatePermission:
		return "create_permission"
	case stun.MethodChannelBind:
		return "channel_bind"
	}
	return "other"
}

func (s *stats) register(r prometheus.Registerer, relay *Relay) error {
	if r == nil {
		return nil
	}
	all := []prometheus.Collector{
		s.requests,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bedside_turn_allocations", Help: "Allocations of the relay that exist now."}, relay.total),
		counter("bedside_turn_silenced_total", "Answers not given because a source that shows no password had its ten of that second.", nil, &s.silenced),
	}
	for direction, f := range map[string]*flow{"to_server": &s.up, "to_client": &s.down} {
		labels := prometheus.Labels{"direction": direction}
		all = append(all,
			counter("bedside_turn_packets_total", "Packets relayed, by direction.", labels, &f.packets),
			counter("bedside_turn_bytes_total", "Bytes relayed, without headers, by direction.", labels, &f.bytes))
	}
	for reason := range dropReasons {
		all = append(all, counter("bedside_turn_dropped_total", "Messages to the relay and packets to be relayed that were dropped, by reason.",
			prometheus.Labels{"reason": reason.String()}, &s.dropped[reason]))
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func counter(name, help string, labels prometheus.Labels, v *atomic.Uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
		func() float64 { return float64(v.Load()) })
}
