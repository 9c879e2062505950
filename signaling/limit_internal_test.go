package signaling

import (
	"fmt"
	"testing"
	"time"
)

// These are internal because an address cannot be chosen over a pipe.

func TestNetworkOf(t *testing.T) {
	for _, tt := range []struct{ remote, want string }{
		{"192.0.2.7:1234", "192.0.2.7/32"},
		{"[::ffff:192.0.2.7]:1234", "192.0.2.7/32"},
		{"[2001:db8:1:2:3:4:5:6]:1234", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:1234", "fe80::/64"},
		{"pipe", "invalid Prefix"},
		{"", "invalid Prefix"},
		{"192.0.2.7", "invalid Prefix"},
	} {
		if got := networkOf(tt.remote).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.remote, got, tt.want)
		}
	}
}

func TestBucket(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	var b bucket
	passed := func(n int) int {
		count := 0
		for range n {
			if b.take(now, 20, 60) {
				count++
			}
		}
		return count
	}
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{0, 60}, {50 * time.Millisecond, 1}, {time.Second, 20}, {-time.Hour, 0}, {time.Hour, 60}} {
		now = now.Add(tt.after)
		if got := passed(100); got != tt.want {
			t.Errorf("%v later %d pass, want %d", tt.after, got, tt.want)
		}
	}
}

func TestAddressLimitIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	l := newAddressLimit(1) // 2 at once
	if !l.take(now, "192.0.2.1:1") {
		t.Fatal("the first request is refused")
	}
	for i := range maxAddresses {
		l.take(now, fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff))
	}
	if len(l.buckets) != maxAddresses {
		t.Errorf("%d addresses are kept, want %d", len(l.buckets), maxAddresses)
	}
	// Whoever is new shares one bucket, which the last address above has used once; the others do not notice.
	got := []bool{l.take(now, "198.51.100.1:1"), l.take(now, "198.51.100.2:1"), l.take(now, "192.0.2.1:1"), l.take(now, "192.0.2.1:1")}
	if want := []bool{true, false, true, false}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	now = now.Add(2 * time.Second) // everybody is like new
	if !l.take(now, "198.51.100.1:1") || len(l.buckets) != 1 {
		t.Errorf("%d addresses are kept after they have been quiet, want 1", len(l.buckets))
	}
}
