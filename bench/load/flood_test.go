package load_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/load"
)

const callsUnderFlood = `name: flood
purpose: calls beside malformed datagrams
hold: %s
rooms: {count: %d}
people:
  - {ref: doctor, role: clinician, camera: {fps: 15, layers: [{size: 320x180, rate: 100kbit}]}, mic: continuous}
  - {ref: nurse, role: clinician, camera: {fps: 15, layers: [{size: 320x180, rate: 100kbit}]}, mic: continuous}
objectives:
  join_failures: 0
  violations: 0
`

// TestFloodOfMalformedDatagrams sends a hundred thousand datagrams (a million in the long run), a quarter
// each random, mutated STUN, DTLS and RTP or RTCP, half of them from the addresses of people in calls: the
// server lives, the calls lose nothing to speak of, and the log stays short.
func TestFloodOfMalformedDatagrams(t *testing.T) {
	datagrams, rate, rooms, hold := 100_000, 20_000, 3, 8*time.Second
	if os.Getenv("SOAK") != "" {
		datagrams, rate, rooms, hold = 1_000_000, 50_000, 25, 30*time.Second
	}
	l := startLocal(t)
	cfg := configure(t, l, fmt.Sprintf(callsUnderFlood, hold, rooms))
	mouths := &mouths{}
	cfg.Network.Listen = mouths.listen
	at, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	server, err := net.ResolveUDPAddr("udp4", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	var once sync.Once
	cfg.Progress = func(p load.Progress) {
		if p.People == p.Planned {
			once.Do(func() { close(ready) })
		}
	}
	var sent int
	var flooding sync.WaitGroup
	flooding.Go(func() {
		select {
		case <-ready:
			sent = mouths.flood(t.Context(), t, server, datagrams, rate)
		case <-t.Context().Done():
		}
	})
	before := l.LogLines()
	got, err := load.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	flooding.Wait()
	logged := l.LogLines() - before
	t.Logf("figure: %d malformed datagrams beside %d calls: %d packets received, %d lost, %d lines logged", sent, rooms, got.Traffic.Packets, got.Traffic.Lost, logged)
	if sent != datagrams {
		t.Errorf("%d datagrams were sent, want %d", sent, datagrams)
	}
	if got.Joins.Failed > 0 || len(got.Violations) > 0 || got.Joins.Attempts != 2*rooms {
		t.Errorf("%d joins, %d failed, violations %q", got.Joins.Attempts, got.Joins.Failed, got.Violations)
	}
	if share := float64(got.Traffic.Lost) / float64(got.Traffic.Packets+got.Traffic.Lost); share >= 0.001 {
		t.Errorf("the calls lost %.2f %%", 100*share)
	}
	if own := 12 * rooms; logged > 100+own { // two who join, whose media comes, and who leave, and the consultation
		t.Errorf("%d lines were logged", logged)
	}
}

// mouths are the sockets of people, which the flood speaks from, too.
type mouths struct {
	mu  sync.Mutex
	all []net.PacketConn
}

func (m *mouths) listen() (net.PacketConn, error) {
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, c)
	return c, nil
}

// flood sends n datagrams at a rate, every other one from somebody's own address, and returns how many.
func (m *mouths) flood(ctx context.Context, t *testing.T, server net.Addr, n, rate int) (sent int) {
	stranger, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = stranger.Close() }()
	m.mu.Lock()
	own := m.all
	m.mu.Unlock()
	random := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	buf := make([]byte, 1200)
	for sent < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return sent
		}
		for range min(rate/100, n-sent) {
			from := net.PacketConn(stranger)
			if sent%2 == 0 {
				from = own[random.IntN(len(own))]
			}
			_, _ = from.WriteTo(malformed(random, buf), server) // a full buffer loses it, as a network would
			sent++
		}
	}
	return sent
}

// malformed makes one datagram that is not what it seems.
func malformed(random *rand.Rand, buf []byte) []byte {
	b := buf[:1+random.IntN(len(buf)-1)]
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	put := func(head ...byte) { copy(b, head) }
	switch random.IntN(4) {
	case 1: // a STUN binding request with lengths and attributes of its own
		put(0, 1, byte(random.IntN(4)), byte(random.Uint32()), 0x21, 0x12, 0xa4, 0x42)
		if len(b) >= 40 {
			b[2], b[3] = byte((len(b)-20)>>8), byte(len(b)-20)
			b[20], b[21], b[22], b[23] = 0, 6, 0, byte(random.IntN(64)) // USERNAME
		}
	case 2: // a DTLS record of some type, epoch and length
		put(byte(20+random.IntN(5)), 0xfe, 0xfd, 0, byte(random.IntN(3)))
		if len(b) >= 13 {
			length := random.IntN(len(b))
			b[11], b[12] = byte(length>>8), byte(length)
		}
	case 3: // RTP or RTCP that nobody has sealed
		put(0x80|byte(random.IntN(64)), byte(random.Uint32()))
	}
	return b
}
