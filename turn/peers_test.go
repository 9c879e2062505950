package turn_test

import (
	"net/netip"
	"testing"

	"github.com/pion/stun/v4"

	"github.com/bedside-video/bedside/turn/policy"
)

// elsewhere are the addresses that a relay to a hospital's network must not reach: those of A12 in the
// literature on relays (Slack 2018, coturn CVE-2020-26262), each with the media server's port.
func elsewhere() []string {
	return []string{
		"127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "0.0.0.1", "0.255.255.255",
		"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255",
		"100.64.0.1", "100.127.255.255", "169.254.169.254", "169.254.0.1", "192.0.0.1", "192.0.2.1",
		"198.18.0.1", "198.51.100.1", "203.0.113.9", "203.0.113.11", "224.0.0.1", "239.255.255.255",
		"240.0.0.1", "255.255.255.255", "8.8.8.8",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:203.0.113.10", "::ffff:169.254.169.254", "::203.0.113.10",
		"64:ff9b::7f00:1", "64:ff9b::cb00:710a", "64:ff9b:1::7f00:1", "2002:7f00:1::1", "2002:cb00:710a::1", "2001:0:7f00:1::1",
		"fc00::1", "fd00::1", "fe80::1", "fec0::1", "ff02::1", "ff05::2", "2001:db8::11", "2001:4860:4860::8888", "100::1",
	}
}

// Nobody but the media server is reached, by any request, at any of its ports but its own.
func TestReachesNobodyElse(t *testing.T) {
	media6 := netip.MustParseAddrPort("[2001:db8::10]:8443")
	var targets []netip.AddrPort
	for _, a := range elsewhere() {
		targets = append(targets, netip.AddrPortFrom(netip.MustParseAddr(a), media.Port()))
	}
	for _, p := range []uint16{1, 22, 8442, 8444, 50000, 65535} {
		targets = append(targets, netip.AddrPortFrom(media.Addr(), p), netip.AddrPortFrom(media6.Addr(), p))
	}
	checked := 0
	for _, f := range []byte{1, 2} {
		own := media
		if f == 2 {
			own = media6
		}
		s := newTable(t, limits(), media, media6)
		u := s.user(alice, "session")
		if a := u.ask(stun.MethodAllocate, transport(17), family(f)); a.code != 0 {
			t.Fatalf("Allocate: %d", a.code)
		}
		l := s.lines[0]
		if a := u.ask(stun.MethodChannelBind, channelNumber(0x4001), peerAddress(own)); a.code != 0 {
			t.Fatalf("the media server itself: %d", a.code)
		}
		for _, at := range targets {
			want := 403
			if at.Addr().Is6() != own.Addr().Is6() {
				want = 443
			}
			if a := u.ask(stun.MethodCreatePermission, peerAddress(at)); a.code != want {
				t.Errorf("family %d: CreatePermission %v: %d, want %d", f, at, a.code, want)
			}
			if a := u.ask(stun.MethodCreatePermission, peerAddress(own), peerAddress(at)); a.code != want {
				t.Errorf("family %d: CreatePermission %v behind a good one: %d, want %d", f, at, a.code, want)
			}
			if a := u.ask(stun.MethodChannelBind, channelNumber(0x4002), peerAddress(at)); a.code != want {
				t.Errorf("family %d: ChannelBind %v: %d, want %d", f, at, a.code, want)
			}
			u.indication(at, "x")
			u.say(channelData(0x4002, []byte("x")))
			checked++
		}
		if len(l.got) != 0 || len(s.lines) != 1 {
			t.Errorf("family %d: emitted %v", f, l.got)
		}
		u.say(channelData(0x4001, []byte("x")))
		if len(l.got) != 1 {
			t.Error("what is allowed does not pass")
		}
	}
	t.Logf("figure: %d addresses and families refused on CreatePermission, ChannelBind and Send, 0 packets emitted", checked)
}

// A permission is for an address; its port may be left out.
func TestPermissionWithoutPort(t *testing.T) {
	s := newTable(t, limits())
	u := s.user(alice, "session")
	l := u.allocated()
	u.indication(media, "before")
	if a := u.ask(stun.MethodCreatePermission, peerAddress(netip.AddrPortFrom(media.Addr(), 0))); a.code != 0 {
		t.Fatalf("CreatePermission: %d", a.code)
	}
	u.indication(media, "after")
	u.indication(netip.AddrPortFrom(media.Addr(), 0), "to no port")
	if len(l.got) != 1 || l.got[0].data != "after" {
		t.Errorf("the peer got %v", l.got)
	}
}

func TestPeersThatAreNone(t *testing.T) {
	for _, c := range []string{"0.0.0.0:443", "[::]:443", "224.0.0.1:443", "[::ffff:192.0.2.1]:443", "192.0.2.1:0", "[fe80::1%eth0]:443"} {
		if _, err := policy.NewPeers([]netip.AddrPort{netip.MustParseAddrPort(c)}); err == nil {
			t.Errorf("%s is taken for a media server", c)
		}
	}
	if _, err := policy.NewPeers(nil); err == nil {
		t.Error("a relay that reaches nobody")
	}
	if _, err := policy.NewPeers(make([]netip.AddrPort, 17)); err == nil {
		t.Error("17 peers")
	}
}
