package turn_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/bedside-video/bedside/turn/policy"
)

// from is an address of a client.
func from(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 5000)
}

func TestQuotas(t *testing.T) {
	with := func(l policy.Limits) func(*testing.T) *table {
		return func(t *testing.T) *table {
			all := limits()
			all.Limits = l
			return newTable(t, all)
		}
	}
	const plenty, attempts = 1000, 250 // a session forgets the user names before the last 256
	tests := []struct {
		name     string
		table    func(t *testing.T) *table
		at       func(n int) netip.AddrPort
		sameName bool // else a new credential each time
		granted  int
		code     int // of all others
	}{
		{"a credential", with(policy.Limits{PerCredential: 4, PerOwner: plenty, PerSource: plenty, Total: plenty}), from, true, 4, 486},
		{"a session", with(policy.Limits{PerCredential: 4, PerOwner: 12, PerSource: plenty, Total: plenty}), from, false, 12, 486},
		{"a source", with(policy.Limits{PerCredential: plenty, PerOwner: plenty, PerSource: 8, Total: plenty}), func(n int) netip.AddrPort {
			return netip.AddrPortFrom(alice.Addr(), uint16(5000+n))
		}, false, 8, 486},
		{"a source of IPv6", with(policy.Limits{PerCredential: plenty, PerOwner: plenty, PerSource: 8, Total: plenty}), func(n int) netip.AddrPort {
			return netip.MustParseAddrPort(fmt.Sprintf("[2001:db8:1:2::%x]:5000", n+1))
		}, false, 8, 486},
		{"the node", with(policy.Limits{PerCredential: plenty, PerOwner: plenty, PerSource: plenty, Total: 20}), from, false, 20, 508},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.table(t)
			first := s.user(alice, "session")
			codes := map[int]int{}
			var last *user
			for n := range attempts {
				u := s.user(tt.at(n), "session")
				if tt.sameName {
					u.credential = first.credential
				}
				s.now = s.now.Add(time.Second) // so that all strangers are answered
				a := u.ask(stun.MethodAllocate, transport(17))
				codes[a.code]++
				if a.code == 0 {
					last = u
				}
			}
			if codes[0] != tt.granted || codes[tt.code] != attempts-tt.granted {
				t.Errorf("got %v, want %d granted and %d times %d", codes, tt.granted, attempts-tt.granted, tt.code)
			}
			if a := last.ask(stun.MethodRefresh, lifetimeOf(0)); a.code != 0 {
				t.Fatalf("Refresh with 0: %d", a.code)
			}
			if a := last.ask(stun.MethodAllocate, transport(17)); a.code != 0 {
				t.Errorf("what is given back is not there for the next: %d", a.code)
			}
		})
	}
}

func TestBitrate(t *testing.T) {
	l := limits()
	l.Bitrate = 8 * 1000 // 1,000 bytes a second
	s := newTable(t, l)
	u := s.user(alice, "session")
	end := u.bound(0x4001)
	count := func() (up, down int) {
		n := len(end.got)
		for range 30 {
			u.say(channelData(0x4001, make([]byte, 100)))
			if end.receive(make([]byte, 100), 0) {
				down++
			}
		}
		return len(end.got) - n, down
	}
	if up, down := count(); up != 10 || down != 10 {
		t.Errorf("%d and %d packets passed at once, want 10", up, down)
	}
	s.now = s.now.Add(500 * time.Millisecond)
	if up, down := count(); up != 5 || down != 5 {
		t.Errorf("%d and %d packets passed half a second later, want 5", up, down)
	}
	if got := s.value("bedside_turn_dropped_total", "rate"); got != 90 {
		t.Errorf("%v counted, want 90", got)
	}
}

// Whoever shows no password gets ten answers a second, whatever it asks and from however many ports.
func TestStrangersAreAnsweredSeldom(t *testing.T) {
	s := newTable(t, limits())
	u := s.user(alice, "session")
	u.challenge()
	nonce, good := u.nonce, u.credential
	s.now = s.now.Add(time.Second)
	for second := range 3 {
		answers := 0
		for n := range 100 {
			u.at = netip.AddrPortFrom(alice.Addr(), uint16(5000+n))
			u.nonce, u.credential = nonce, good
			var m *stun.Message
			switch n % 4 {
			case 0:
				m = stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transport(17))
			case 1:
				u.credential.Password = "wrong"
				m = u.sign(stun.MethodAllocate, transport(17))
			case 2:
				u.nonce = "stale"
				m = u.sign(stun.MethodRefresh)
			case 3:
				m = stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.NewShortTermIntegrity("x"))
			}
			if a := u.exchange(m); a.code > 0 {
				answers++
			}
		}
		if answers != policy.AnswersPerSecond {
			t.Errorf("second %d: %d answers, want 10", second, answers)
		}
		s.now = s.now.Add(time.Second)
	}
	// Whoever has a password is not told apart by it.
	u.at, u.nonce, u.credential = alice, nonce, good
	if a := u.ask(stun.MethodAllocate, transport(17)); a.code != 0 {
		t.Errorf("Allocate with a password: %d", a.code)
	}
}

// Two secrets: what the old one has made stays good, new credentials are of the new one.
func TestRotation(t *testing.T) {
	old, next, later := secrets(t, "one", ""), secrets(t, "two", "one"), secrets(t, "three", "two")
	c := old.Issue([policy.NameBytes]byte{1}, start)
	has := func(s policy.Secrets) bool {
		for _, p := range s.Passwords(c.Username) {
			if p == c.Password {
				return true
			}
		}
		return false
	}
	if !has(old) || !has(next) || has(later) {
		t.Errorf("good with the first %v, after a rotation %v, after another %v; want true, true, false", has(old), has(next), has(later))
	}
	if next.Issue([policy.NameBytes]byte{1}, start).Password == c.Password {
		t.Error("the old secret makes new credentials")
	}
}
