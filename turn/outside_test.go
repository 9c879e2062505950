package turn_test

import (
	"crypto/rand"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/port"
	"github.com/bedside-video/bedside/turn"
	"github.com/bedside-video/bedside/turn/policy"
)

// loopback opens a socket.
func loopback(t testing.TB) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(deadline))
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// A relay of its own has a socket for each allocation. It sends to the peers, whatever it is asked, and
// hears nobody else.
func TestOutside(t *testing.T) {
	peer, at := loopback(t)
	stranger, strange := loopback(t)
	peers, err := policy.NewPeers([]netip.AddrPort{at})
	if err != nil {
		t.Fatal(err)
	}
	socket, own := loopback(t)
	_ = socket.SetDeadline(time.Time{})
	p, err := port.New(socket, port.Options{})
	if err != nil {
		t.Fatal(err)
	}
	host, shared := turn.NewOutside(peers, []netip.Addr{at.Addr()}), secrets(t, "shared", "")
	relay, err := turn.New(turn.Options{Realm: realm, Peers: peers, Host: host, Authority: turn.NewShared(shared), Limits: limits(), Clock: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = relay.Close(); host.Wait(); _ = p.Close() }()
	relay.ServePort(p)

	conn, _ := loopback(t)
	c := shared.Issue([policy.NameBytes]byte{1}, time.Now().Add(time.Minute))
	relayed := allocateAt(t, conn, own, c)
	_ = relayed.SetDeadline(time.Now().Add(deadline))
	if number := relayed.LocalAddr().(*net.UDPAddr).Port; number%2 != 0 {
		t.Errorf("the relayed port %d is odd", number)
	}
	buf := make([]byte, 100)
	write(t, relayed, []byte("there"), net.UDPAddrFromAddrPort(at))
	n, from, err := peer.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "there" {
		t.Fatalf("the peer got %q, %v", buf[:n], err)
	}
	if from.String() != relayed.LocalAddr().String() {
		t.Errorf("the peer sees %v, the client was told %v", from, relayed.LocalAddr())
	}
	if _, err := stranger.WriteToUDPAddrPort([]byte("strange"), from); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.WriteToUDPAddrPort([]byte("back"), from); err != nil {
		t.Fatal(err)
	}
	if got := read(t, relayed, buf); string(got) != "back" {
		t.Errorf("the client got %q", got)
	}
	// It has the peer's IP address: pion sends, in an indication and after a ChannelBind that is refused.
	_, _ = relayed.WriteTo([]byte("elsewhere"), net.UDPAddrFromAddrPort(strange))
	write(t, relayed, []byte("last"), net.UDPAddrFromAddrPort(at))
	if n, _, err = peer.ReadFromUDPAddrPort(buf); err != nil || string(buf[:n]) != "last" {
		t.Fatalf("the peer got %q, %v", buf[:n], err)
	}
	// What was sent before "last" is there by now, and before what the stranger now says to itself.
	if _, err := stranger.WriteToUDPAddrPort([]byte("alone"), strange); err != nil {
		t.Fatal(err)
	}
	if n, _, err = stranger.ReadFromUDPAddrPort(buf); err != nil || string(buf[:n]) != "alone" {
		t.Errorf("the stranger got %q, %v", buf[:n], err)
	}
}

// Credentials of another secret, or of a time that is long past or far ahead, are nobody's.
func TestShared(t *testing.T) {
	ours, others := secrets(t, "ours", ""), secrets(t, "others", "")
	authority := turn.NewShared(ours)
	issue := func(s policy.Secrets, in time.Duration) policy.Credential {
		return s.Issue([policy.NameBytes]byte{7}, start.Add(in))
	}
	for _, tt := range []struct {
		name         string
		username     string
		found, fresh bool
	}{
		{"ours", issue(ours, time.Minute).Username, true, true},
		{"expired", issue(ours, -time.Minute).Username, true, false},
		{"of the day before", issue(ours, -25*time.Hour).Username, false, false},
		{"of the day after", issue(ours, 25*time.Hour).Username, false, false},
		{"without a time", "somebody", false, false},
		{"without a name", "1800000060:", false, false},
		{"of a time before 1970", "-1:somebody", false, false},
		{"longer than any of ours", "1800000060:" + string(make([]byte, 64)), false, false},
	} {
		g, found := authority.Find(start, tt.username)
		if found != tt.found || g.Fresh != tt.fresh {
			t.Errorf("%s: found %v, fresh %v", tt.name, found, g.Fresh)
		}
	}
	c := issue(others, time.Minute)
	if g, _ := authority.Find(start, c.Username); g.Passwords[0] == c.Password {
		t.Error("another secret makes the same password")
	}
}
