package signaling

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// These are internal because an address cannot be chosen over a pipe.

// attempt is one PIN, some time after the one before.
type attempt struct {
	after               time.Duration
	invitation, network string
	right               bool
	want                string // good, wrong, or for how long it is locked
}

func TestLockout(t *testing.T) {
	wrong := func(n int, invitation, network string) []attempt {
		list := make([]attempt, n)
		for i := range list {
			list[i] = attempt{0, invitation, network, false, "wrong"}
		}
		return list
	}
	// Twenty wrong ones from one network, four for each of five invitations.
	var town []attempt
	for i := range 5 {
		town = append(town, wrong(4, fmt.Sprint("i", i), "n")...)
	}
	const quarter = 15 * time.Minute
	for _, tt := range []struct {
		name     string
		attempts []attempt
	}{
		{"the sixth is right", append(wrong(5, "i", "n"), attempt{0, "i", "n", true, "15m0s"})},
		{"the sixth is right, from elsewhere", append(wrong(5, "i", "n"), attempt{0, "i", "m", true, "15m0s"})},
		{"the sixth is wrong", append(wrong(5, "i", "n"), attempt{0, "i", "n", false, "15m0s"})},
		{"the fifth is right", append(wrong(4, "i", "n"), attempt{0, "i", "n", true, "good"})},
		{"another invitation", append(wrong(5, "i", "n"), attempt{0, "j", "n", true, "good"})},
		{"a nanosecond early", append(wrong(5, "i", "n"), attempt{quarter - 1, "i", "n", true, "1ns"})},
		{"on time", append(wrong(5, "i", "n"), attempt{quarter, "i", "n", true, "good"})},
		{"then five more, and no sixth", append(wrong(5, "i", "n"),
			attempt{quarter, "i", "n", false, "wrong"}, attempt{0, "i", "n", false, "wrong"}, attempt{0, "i", "n", false, "wrong"},
			attempt{0, "i", "n", false, "wrong"}, attempt{0, "i", "n", false, "wrong"}, attempt{0, "i", "n", true, "15m0s"})},
		{"trying does not lengthen it", append(wrong(5, "i", "n"),
			attempt{10 * time.Minute, "i", "n", false, "5m0s"}, attempt{5*time.Minute - 1, "i", "n", true, "1ns"}, attempt{1, "i", "n", true, "good"})},
		{"the right one starts over", append(append(wrong(4, "i", "n"), attempt{0, "i", "n", true, "good"}), append(wrong(5, "i", "n"), attempt{0, "i", "n", true, "15m0s"})...)},
		{"slowly", append(wrong(4, "i", "n"), attempt{quarter - 1, "i", "n", false, "wrong"}, attempt{0, "i", "n", true, "15m0s"})},
		{"very slowly", append(wrong(4, "i", "n"), attempt{quarter, "i", "n", false, "wrong"}, attempt{0, "i", "n", true, "good"})},
		{"a network", append(town, attempt{0, "new", "n", true, "15m0s"})},
		{"a network, elsewhere", append(town, attempt{0, "new", "m", true, "good"})},
		{"a network, later", append(town, attempt{quarter, "new", "n", true, "good"})},
		{"the right one does not open its network", append(append(wrong(4, "a", "n"), attempt{0, "a", "n", true, "good"}),
			append(append(append(wrong(4, "b", "n"), wrong(4, "c", "n")...), append(wrong(4, "d", "n"), wrong(4, "e", "n")...)...),
				attempt{0, "f", "n", true, "15m0s"})...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
			l := newLockout()
			for i, a := range tt.attempts {
				now = now.Add(a.after)
				until, ok := l.try(now, a.invitation, a.network, a.right)
				got := "wrong"
				switch {
				case ok:
					got = "good"
				case !until.IsZero():
					got = until.Sub(now).String()
				}
				if got != a.want {
					t.Errorf("attempt %d: %s, want %s", i+1, got, a.want)
				}
			}
		})
	}
}

// TestLockoutCountsExactly lets a hundred guess at once.
func TestLockoutCountsExactly(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	l := newLockout()
	var wrong, locked, good atomic.Int64
	var trying sync.WaitGroup
	start := make(chan struct{})
	for i := range 100 {
		runTry := func() {
			<-start
			until, ok := l.try(now, "i", fmt.Sprint("n", i%10), false)
			switch {
			case ok:
				good.Add(1)
			case until.IsZero():
				wrong.Add(1)
			default:
				locked.Add(1)
			}
		}
		trying.Go(runTry)
	}
	close(start)
	trying.Wait()
	if wrong.Load() != pinTries || locked.Load() != 100-pinTries || good.Load() != 0 {
		t.Errorf("%d wrong, %d locked, %d good; want 5, 95, 0", wrong.Load(), locked.Load(), good.Load())
	}
}

// TestLockoutIsBounded fills the memory: then nobody whose tries cannot be counted has any, and those
// who are counted are not forgotten to make room.
func TestLockoutIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	l := newLockout()
	for range pinTries {
		l.try(now, "victim", "n", false)
	}
	for i := range maxLocks {
		l.try(now, fmt.Sprint(i), fmt.Sprint(i), false)
	}
	if len(l.wrong) > maxLocks {
		t.Errorf("%d counts are kept, want %d at most", len(l.wrong), maxLocks)
	}
	for _, tt := range []struct {
		after      time.Duration
		invitation string
		want       bool
	}{
		{time.Second, "newcomer", false}, // no room
		{0, "victim", false},             // still locked
		{pinLock - time.Second, "newcomer", true},
		{0, "victim", true},
	} {
		now = now.Add(tt.after)
		if _, ok := l.try(now, tt.invitation, "n", true); ok != tt.want {
			t.Errorf("%s: %v, want %v", tt.invitation, ok, tt.want)
		}
	}
	if len(l.wrong) > 3 {
		t.Errorf("%d counts are kept after the locks have ended, want those of two invitations and a network", len(l.wrong))
	}
}

func TestNetworksOfPINs(t *testing.T) {
	for _, tt := range []struct{ remote, want string }{
		{"192.0.2.7:1234", "192.0.2.0/24"},
		{"[::ffff:192.0.2.7]:1234", "192.0.2.0/24"},
		{"[2001:db8:1:2:3:4:5:6]:1234", "2001:db8:1::/48"},
		{"[fe80::1%eth0]:1234", "fe80::/48"},
		{"pipe", ""},
		{"", ""},
	} {
		if got := prefixOf(tt.remote); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.remote, got, tt.want)
		}
	}
}

// TestPINs: every epoch has its own, of six digits, and all of them occur.
func TestPINs(t *testing.T) {
	k := &tokens{secret: make([]byte, 32)}
	first := k.pin("c", "p", 0)
	for name, other := range map[string]string{
		"another epoch": k.pin("c", "p", 1), "another participant": k.pin("c", "q", 0), "another consultation": k.pin("d", "p", 0),
		"another secret": (&tokens{secret: []byte{1}}).pin("c", "p", 0),
	} {
		if other == first || len(other) != pinDigits {
			t.Errorf("%s: %s, as %s", name, other, first)
		}
	}
	digits := [pinDigits][10]int{}
	for i := range 10_000 {
		pin := k.pin("c", fmt.Sprint(i), 0)
		for at := range pinDigits {
			digits[at][pin[at]-'0']++
		}
	}
	for at, counts := range digits {
		for digit, n := range counts {
			if n < 850 || n > 1150 { // 1,000 expected, 5 standard deviations
				t.Errorf("digit %d is %d in %d of 10,000 PINs", at+1, digit, n)
			}
		}
	}
}
