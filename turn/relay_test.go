package turn_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

func TestRelays(t *testing.T) {
	s := newTable(t, limits())
	u := s.user(alice, "session")
	l := u.bound(0x4001)
	u.say(channelData(0x4001, []byte("by channel")))
	u.say(append(channelData(0x4001, []byte("padded")), 0, 0))
	u.indication(media, "by indication")
	if want := []packet{{"by channel", 0}, {"padded", 0}, {"by indication", 0}}; !slices.Equal(l.got, want) {
		t.Errorf("the peer got %v, want %v", l.got, want)
	}
	delete(s.sent, alice)
	if !l.receive([]byte("back"), 0) {
		t.Error("the client cannot take it")
	}
	if got := s.sent[alice]; len(got) != 1 || string(got[0]) != string(channelData(0x4001, []byte("back"))) {
		t.Errorf("the client got %q", got)
	}
	if up, down := s.value("bedside_turn_packets_total", "to_server"), s.value("bedside_turn_packets_total", "to_client"); up != 3 || down != 1 {
		t.Errorf("counted %v and %v packets, want 3 and 1", up, down)
	}
}

func TestAllocateAnswers(t *testing.T) {
	s := newTable(t, limits())
	u := s.user(alice, "session")
	a := u.ask(stun.MethodAllocate, transport(17))
	var relayed, mapped stun.XORMappedAddress
	if a.code != 0 || relayed.GetFromAs(a.m, stun.AttrXORRelayedAddress) != nil || mapped.GetFrom(a.m) != nil {
		t.Fatalf("Allocate: %d %v", a.code, a.m)
	}
	if relayed.String() != "203.0.113.10:50000" || mapped.String() != "192.0.2.1:5000" {
		t.Errorf("relayed %v, mapped %v", relayed, mapped)
	}
	if v, err := a.m.Get(stun.AttrLifetime); err != nil || !slices.Equal(v, []byte{0, 0, 2, 88}) {
		t.Errorf("lifetime %v, want 600 s", v)
	}
	if stun.NewLongTermIntegrity(u.credential.Username, realm, u.credential.Password).Check(a.m) != nil {
		t.Error("the answer is not signed")
	}
}

// Without a channel, what comes from the peer is a Data indication that names it.
func TestDataIndication(t *testing.T) {
	s := newTable(t, limits())
	u := s.user(alice, "session")
	l := u.allocated()
	if l.receive([]byte("early"), 0) {
		t.Error("a peer that the client has not asked for reaches it")
	}
	if a := u.ask(stun.MethodCreatePermission, peerAddress(media)); a.code != 0 {
		t.Fatalf("CreatePermission: %d", a.code)
	}
	delete(s.sent, alice)
	l.receive([]byte("hello"), 0)
	got := s.sent[alice]
	if len(got) != 1 {
		t.Fatalf("the client got %q", got)
	}
	m := &stun.Message{Raw: got[0]}
	var from stun.XORMappedAddress
	if m.Decode() != nil || m.Type != stun.NewType(stun.MethodData, stun.ClassIndication) || from.GetFromAs(m, stun.AttrXORPeerAddress) != nil {
		t.Fatalf("got %v", m)
	}
	data, _ := m.Get(stun.AttrData)
	if from.String() != media.String() || string(data) != "hello" {
		t.Errorf("got %q from %v", data, from)
	}
}

func TestRefuses(t *testing.T) {
	tests := []struct {
		name string
		ask  func(u *user) answer
		code int
	}{
		{"no transport", func(u *user) answer { return u.ask(stun.MethodAllocate) }, 400},
		{"TCP to the peer", func(u *user) answer { return u.ask(stun.MethodAllocate, transport(6)) }, 442},
		{"IPv6 where there is none", func(u *user) answer { return u.ask(stun.MethodAllocate, transport(17), family(2)) }, 440},
		{"an even port", func(u *user) answer {
			return u.ask(stun.MethodAllocate, transport(17), raw{stun.AttrEvenPort, []byte{0}})
		}, 0},
		{"a pair of ports", func(u *user) answer {
			return u.ask(stun.MethodAllocate, transport(17), raw{stun.AttrEvenPort, []byte{0x80}})
		}, 508},
		{"the second of a pair", func(u *user) answer {
			return u.ask(stun.MethodAllocate, transport(17), raw{stun.AttrReservationToken, make([]byte, 8)})
		}, 420},
		{"a wrong password", func(u *user) answer {
			u.challenge()
			u.credential.Password += "x"
			return u.ask(stun.MethodAllocate, transport(17))
		}, 401},
		{"another realm's key", func(u *user) answer {
			u.challenge()
			return u.exchange(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transport(17),
				stun.NewUsername(u.credential.Username), stun.NewRealm("other"), stun.NewNonce(u.nonce),
				stun.NewLongTermIntegrity(u.credential.Username, "other", u.credential.Password)))
		}, 401},
		{"an unknown user", func(u *user) answer {
			u.credential.Username += "x"
			return u.ask(stun.MethodAllocate, transport(17))
		}, 401},
		{"a nonce of its own", func(u *user) answer {
			u.nonce = "000102030405060708090a0b0c0d0e0f0001020304050607"
			return u.ask(stun.MethodAllocate, transport(17))
		}, 438},
		{"somebody else's nonce", func(u *user) answer {
			other := u.user(netip.MustParseAddrPort("192.0.2.2:5000"), "other")
			other.challenge()
			u.nonce = other.nonce
			return u.ask(stun.MethodAllocate, transport(17))
		}, 438},
		{"an old nonce", func(u *user) answer {
			u.challenge()
			u.now = u.now.Add(time.Hour)
			return u.ask(stun.MethodAllocate, transport(17))
		}, 438},
		{"no user name", func(u *user) answer {
			return u.exchange(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transport(17), stun.NewShortTermIntegrity("x")))
		}, 400},
		{"a second allocation", func(u *user) answer {
			u.allocated()
			return u.ask(stun.MethodAllocate, transport(17))
		}, 437},
		{"Refresh of nothing", func(u *user) answer { return u.ask(stun.MethodRefresh) }, 437},
		{"Refresh of somebody else's", func(u *user) answer {
			u.allocated()
			other := u.user(u.at, "other")
			return other.ask(stun.MethodRefresh)
		}, 441},
		{"CreatePermission for nobody", func(u *user) answer {
			u.allocated()
			return u.ask(stun.MethodCreatePermission)
		}, 400},
		{"CreatePermission for one of two", func(u *user) answer {
			u.allocated()
			return u.ask(stun.MethodCreatePermission, peerAddress(media), peerAddress(alice))
		}, 403},
		{"a channel that is none", func(u *user) answer {
			u.allocated()
			return u.ask(stun.MethodChannelBind, channelNumber(0x3fff), peerAddress(media))
		}, 400},
		{"a second channel", func(u *user) answer {
			u.bound(0x4001)
			return u.ask(stun.MethodChannelBind, channelNumber(0x4002), peerAddress(media))
		}, 400},
		{"a TCP connection to the peer", func(u *user) answer {
			u.allocated()
			return u.ask(stun.MethodConnect, peerAddress(media))
		}, -1},
		{"a binding request", func(u *user) answer {
			return u.exchange(stun.MustBuild(stun.TransactionID, stun.BindingRequest))
		}, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := newTable(t, limits()).user(alice, "session")
			if got := tt.ask(u); got.code != tt.code {
				t.Errorf("got %d, want %d", got.code, tt.code)
			}
		})
	}
}

// A retransmitted Allocate is the same allocation.
func TestRetransmission(t *testing.T) {
	s := newTable(t, limits())
	u := s.user(alice, "session")
	u.challenge()
	m := u.sign(stun.MethodAllocate, transport(17))
	if a, b := u.exchange(m), u.exchange(m); a.code != 0 || b.code != 0 || len(s.lines) != 1 {
		t.Errorf("answered %d and %d, %d allocations", a.code, b.code, len(s.lines))
	}
}

func TestLifetimes(t *testing.T) {
	s := newTable(t, limits())
	u := s.user(alice, "session")
	l := u.bound(0x4001)
	send := func() bool {
		n := len(l.got)
		u.say(channelData(0x4001, []byte("x")))
		return len(l.got) > n
	}
	pass := func(d time.Duration) { s.now = s.now.Add(d) }

	pass(9 * time.Minute)
	if a := u.ask(stun.MethodRefresh, lifetimeOf(time.Hour)); a.code != 0 {
		t.Fatalf("Refresh: %d", a.code)
	}
	if !send() {
		t.Error("nothing passes after 9 minutes")
	}
	pass(time.Minute)
	if send() {
		t.Error("the channel lives for longer than 10 minutes")
	}
	if a := u.ask(stun.MethodChannelBind, channelNumber(0x4002), peerAddress(media)); a.code != 0 {
		t.Errorf("another channel after that: %d", a.code)
	}
	pass(9 * time.Minute)
	if a := u.ask(stun.MethodRefresh); a.code != 437 {
		t.Errorf("the allocation is there after its time: %d", a.code)
	}
	u = s.user(alice, "session")
	u.allocated()
	if a := u.ask(stun.MethodRefresh, lifetimeOf(0)); a.code != 0 {
		t.Errorf("Refresh with 0: %d", a.code)
	}
	if !s.lines[1].closed || s.value("bedside_turn_allocations") != 0 {
		t.Error("the allocation is still there")
	}
}

// When a session ends, what it has allocated ends, and its credential is nobody's.
func TestSessionEnds(t *testing.T) {
	s := newTable(t, limits())
	u, other := s.user(alice, "session"), s.user(netip.MustParseAddrPort("192.0.2.2:5000"), "other")
	l, theirs := u.bound(0x4001), other.bound(0x4001)
	s.credentials.End("session")
	s.relay.Forget("session")
	u.say(channelData(0x4001, []byte("x")))
	if a := u.ask(stun.MethodAllocate, transport(17)); a.code != 401 || !l.closed || len(l.got) != 0 {
		t.Errorf("answered %d; line closed: %v, got %v", a.code, l.closed, l.got)
	}
	other.say(channelData(0x4001, []byte("x")))
	if theirs.closed || len(theirs.got) != 1 {
		t.Error("another session has ended, too")
	}
}

// An expired credential keeps what it has, and makes nothing new.
func TestExpiredCredential(t *testing.T) {
	s := newTable(t, limits())
	u := s.user(alice, "session")
	u.allocated()
	s.now = s.now.Add(9 * time.Minute)
	if a := u.ask(stun.MethodRefresh); a.code != 0 {
		t.Fatalf("Refresh: %d", a.code)
	}
	s.now = s.now.Add(2 * time.Minute)
	if a := u.ask(stun.MethodRefresh); a.code != 0 {
		t.Errorf("Refresh with an expired credential: %d", a.code)
	}
	u.at = netip.MustParseAddrPort("192.0.2.1:5001")
	u.nonce = ""
	if a := u.ask(stun.MethodAllocate, transport(17)); a.code != 403 {
		t.Errorf("Allocate with an expired credential: %d", a.code)
	}
}
