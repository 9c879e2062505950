package browser_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/signaling/wire"
)

var capacity = flag.Bool("capacity", false, "measure what 100 participants cost the server")

// TestCapacity measures what a participant costs the server who is connected and receives nothing
// yet: 25 consultations of four, of whom three wait. What is tested is that nothing stays behind.
func TestCapacity(t *testing.T) {
	if !*capacity {
		t.Skip("measures only with -capacity")
	}
	const consultations, each = 25, 4
	const idleConnections = 4 // of this test's HTTP client, each with a goroutine or two of the server's
	s := startServer(t)
	before := s.cost()
	var clients []*bench.Client
	var joins []time.Duration
	pace := time.NewTicker(110 * time.Millisecond) // the server takes 10 joins a second from one address
	defer pace.Stop()
	for i := range consultations {
		people := s.open(fmt.Sprintf("capacity-%d", i), "VP8", func(role string) string { return role }, clinician, patient, interpreter, carer)
		for _, p := range people {
			<-pace.C
			c := bench.New(bench.Config{
				BaseURL: s.url, Invitation: p.invitation(), HTTP: http.DefaultClient, Loopback: true,
				Media: bench.Media{Camera: bench.Camera(), Mic: bench.Microphone()},
			})
			defer c.Close()
			start := time.Now()
			connect(t, c)
			joins = append(joins, time.Since(start))
			clients = append(clients, c)
		}
	}
	full := s.cost()
	n := float64(consultations * each)
	t.Logf("figure: %v participants: %.1f goroutines, %.0f KiB resident, %.0f KiB heap each", n, (full.goroutines-before.goroutines)/n,
		(full.resident-before.resident)/n/1024, (full.heap-before.heap)/n/1024)
	slices.Sort(joins)
	t.Logf("figure: from the invitation to a connection that is up: median %v, worst %v", joins[len(joins)/2].Round(time.Millisecond), joins[len(joins)-1].Round(time.Millisecond))
	for _, c := range clients {
		// Who only hangs up is waited for. The answer to leave is the end of the session.
		if _, err := c.Call(t.Context(), &wire.Leave{}); err != nil && !errors.Is(err, bench.ErrEnded) {
			t.Errorf("leave: %v", err)
		}
		c.Close()
	}
	s.untilMetric("bedside_peers", "0", func(v float64) bool { return v == 0 })
	left := s.untilMetric("go_goroutines", fmt.Sprintf("%v or so again", before.goroutines), func(v float64) bool { return v <= before.goroutines+idleConnections })
	t.Logf("figure: %v goroutines when all have gone, %v before anybody came", left, before.goroutines)
}

func connect(t *testing.T, c *bench.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Join(ctx); err != nil {
		t.Fatalf("join: %v", err)
	}
	if err := c.Connected(ctx); err != nil {
		t.Fatalf("connect: %v", err)
	}
}

// cost is what a server holds.
type cost struct{ goroutines, resident, heap float64 }

func (s *server) cost() cost {
	return cost{
		goroutines: s.metric("go_goroutines"),
		resident:   s.metric("process_resident_memory_bytes"),
		heap:       s.metric("go_memstats_heap_inuse_bytes"),
	}
}
