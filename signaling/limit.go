package signaling

import (
	"net/netip"
	"sync"
	"time"

	"github.com/bedside-video/bedside/config"
)

// bucket is a token bucket (RFC 2697's without colours): burst at once, rate a second in the long run.
type bucket struct {
	tokens float64
	at     time.Time // when tokens was right; zero: never used, full
}

// take reports whether one more is within the limit.
func (b *bucket) take(now time.Time, rate, burst float64) bool {
	b.fill(now, rate, burst)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (b *bucket) fill(now time.Time, rate, burst float64) {
	if b.at.IsZero() {
		b.tokens = burst
	} else if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(burst, b.tokens+passed.Seconds()*rate)
	}
	b.at = now
}

// pace is how fast a session may send messages, and how often it may try to be faster.
type pace struct {
	bucket    bucket
	refused   int
	refusedAt time.Time
}

func (p *pace) take(now time.Time, l config.Limits) bool {
	return p.bucket.take(now, float64(l.MessagesPerSec), float64(l.MessagesInBurst))
}

// tooMany counts a refused message and reports whether it is one too many.
func (p *pace) tooMany(now time.Time) bool {
	if now.Sub(p.refusedAt) > refusedMemory {
		p.refused = 0
	}
	p.refused++
	p.refusedAt = now
	return p.refused > maxRefused
}

// maxAddresses bounds the memory of addressLimit: 65,536 buckets are about 5 MB.
const maxAddresses = 1 << 16

// addressLimit is one bucket for each network address.
type addressLimit struct {
	rate, burst float64

	mu      sync.Mutex
	buckets map[netip.Prefix]*bucket
	crowd   bucket // shared by every address that finds no place
	swept   time.Time
}

func newAddressLimit(rate int) *addressLimit {
	// Twice the rate at once: the people of a clinic behind one address join on the hour.
	return &addressLimit{rate: float64(rate), burst: 2 * float64(rate), buckets: make(map[netip.Prefix]*bucket)}
}

// take reports whether one more request from remote (a net.Addr's String) is within the limit.
func (l *addressLimit) take(now time.Time, remote string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	network := networkOf(remote)
	b := l.buckets[network]
	if b == nil {
		if len(l.buckets) >= maxAddresses {
			l.sweep(now)
		}
		if len(l.buckets) >= maxAddresses {
			// An attacker with this many addresses slows down those who are new, not those who
			// have been here.
			return l.crowd.take(now, l.rate, l.burst)
		}
		b = new(bucket)
		l.buckets[network] = b
	}
	return b.take(now, l.rate, l.burst)
}

// sweep forgets the addresses that have been quiet long enough to be like new; once a second at
// most, because it looks at all of them.
func (l *addressLimit) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for network, b := range l.buckets {
		if b.fill(now, l.rate, l.burst); b.tokens >= l.burst {
			delete(l.buckets, network)
		}
	}
}

// networkOf returns what one customer of a provider has: an IPv4 address or an IPv6 /64
// (RFC 6177 section 2). Everything that is not an address counts as one.
func networkOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	ip := ap.Addr().Unmap()
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	network, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
