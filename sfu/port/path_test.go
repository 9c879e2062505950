package port_test

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/bedside-video/bedside/sfu/port"
)

// relayed is where a path of these tests is.
var relayed = port.Virtual(netip.MustParseAddrPort("192.0.2.1:5000"), port.ZoneRelay)

// far is the other end of a path: it takes so many datagrams and no more.
type far struct {
	mu   sync.Mutex
	room int
	got  [][]byte
}

func (f *far) send(b []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.got) == f.room {
		return false
	}
	f.got = append(f.got, slices.Clone(b))
	return true
}

// attach opens a path that ends with the test.
func (f *fixture) attach(at netip.AddrPort, room int) (*port.Path, *far) {
	f.t.Helper()
	end := &far{room: room}
	p, err := f.p.Attach(at, end.send)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(p.Close)
	return p, end
}

func TestVirtual(t *testing.T) {
	for _, c := range []struct{ at, zone, want string }{
		{"192.0.2.1:5000", port.ZoneTCP, "[::ffff:192.0.2.1%/tcp]:5000"},
		{"[::ffff:192.0.2.1]:5000", port.ZoneTCP, "[::ffff:192.0.2.1%/tcp]:5000"},
		{"[2001:db8::1]:5000", port.ZoneRelay, "[2001:db8::1%/relay]:5000"},
		{"[fe80::1%eth0]:5000", port.ZoneTCP, "[fe80::1%/tcp]:5000"},
	} {
		if got := port.Virtual(netip.MustParseAddrPort(c.at), c.zone).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.at, got, c.want)
		}
	}
}

// A path is heard like an address, and is another than the same address without its zone.
func TestPathDelivers(t *testing.T) {
	run(t, func(f *fixture) {
		path, end := f.attach(relayed, 10)
		path.Deliver(media)
		path.Deliver(check(t, ufrag, "not the password of that endpoint"))
		path.Deliver(media)
		if got := f.received(f.conn); got != nil {
			t.Fatalf("delivered %v before any good check", got)
		}
		path.Deliver(check(t, ufrag, password))
		path.Deliver(media)
		f.send(alice, media) // the same address and port, by the socket
		if got := f.received(f.conn); !slices.Equal(got, []netip.AddrPort{relayed, relayed}) {
			t.Errorf("delivered %v, want two of %v", got, relayed)
		}
		if u, a := f.dropped("unknown_address"), f.dropped("stun_unauthenticated"); u != 3 || a != 1 {
			t.Errorf("dropped %v of unknown address, %v unauthenticated; want 3 and 1", u, a)
		}
		for _, b := range []string{"one", "two"} {
			if err := f.p.Write([]byte(b), relayed); err != nil {
				t.Error(err)
			}
		}
		if len(end.got) != 2 || string(end.got[0]) != "one" || string(end.got[1]) != "two" {
			t.Errorf("the path was given %q", end.got)
		}
		if got := f.value("bedside_udp_datagrams_sent_total", ""); got != 0 {
			t.Errorf("%v datagrams went to the socket", got)
		}
	})
}

// Whatever is hostile on the socket is so on a path.
func TestPathDrops(t *testing.T) {
	for _, c := range hostile() {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(f *fixture) {
				path, _ := f.attach(relayed, 1)
				path.Deliver(check(t, ufrag, password))
				f.received(f.conn)
				path.Deliver(c.b(t))
				if got := f.dropped(c.reason); got != 1 {
					t.Errorf("dropped %v for %s, want 1", got, c.reason)
				}
				if got := f.received(f.conn); got != nil {
					t.Errorf("delivered %v", got)
				}
			})
		})
	}
}

func TestFullPathDropsAndCounts(t *testing.T) {
	run(t, func(f *fixture) {
		_, end := f.attach(relayed, 3)
		for range 5 {
			_ = f.p.Write(media, relayed)
		}
		sent, dropped := f.value("bedside_path_datagrams_sent_total", ""), f.value("bedside_path_datagrams_dropped_total", "")
		if len(end.got) != 3 || sent != 3 || dropped != 2 {
			t.Errorf("%d arrived, %v counted as sent, %v as dropped; want 3, 3, 2", len(end.got), sent, dropped)
		}
	})
}

// What is written to a path that is no more must not go to whoever has that address on the socket.
func TestClosedPath(t *testing.T) {
	run(t, func(f *fixture) {
		path, end := f.attach(relayed, 3)
		path.Deliver(check(t, ufrag, password))
		f.received(f.conn)
		path.Close()
		path.Close()
		path.Deliver(media)
		path.Deliver(check(t, ufrag, password))
		_ = f.p.Write(media, relayed)
		if got := f.received(f.conn); got != nil || len(end.got) != 0 {
			t.Errorf("delivered %v, sent %d", got, len(end.got))
		}
		if d, s := f.value("bedside_path_datagrams_dropped_total", ""), f.value("bedside_udp_datagrams_sent_total", ""); d != 1 || s != 0 {
			t.Errorf("counted %v as dropped, %v as sent by the socket; want 1 and 0", d, s)
		}
		if _, err := f.p.Attach(relayed, end.send); err != nil {
			t.Errorf("the address is not free again: %v", err)
		}
	})
}

func TestPathOfAForgottenEndpoint(t *testing.T) {
	run(t, func(f *fixture) {
		path, _ := f.attach(relayed, 1)
		path.Deliver(check(t, ufrag, password))
		f.received(f.conn)
		f.p.Forget(ufrag)
		path.Deliver(media)
		path.Deliver(check(t, ufrag, password))
		if got := f.received(f.conn); got != nil {
			t.Errorf("delivered %v", got)
		}
		other := f.register("other", "another password, of the next call")
		path.Deliver(check(t, "other", "another password, of the next call"))
		path.Deliver(media)
		if got := f.received(other); len(got) != 2 {
			t.Errorf("the next call got %d datagrams, want the check and the packet", len(got))
		}
	})
}

func TestPathsOfOneEndpointAreBounded(t *testing.T) {
	run(t, func(f *fixture) {
		var all []*port.Path
		for i := range uint16(17) {
			path, _ := f.attach(netip.AddrPortFrom(relayed.Addr(), 1000+i), 1)
			path.Deliver(check(t, ufrag, password))
			all = append(all, path)
		}
		f.received(f.conn)
		all[0].Deliver(media)
		all[16].Deliver(media)
		if got := f.received(f.conn); len(got) != 1 || got[0].Port() != 1016 {
			t.Errorf("delivered from %v, want only from port 1016", got)
		}
	})
}

func TestAttachRefuses(t *testing.T) {
	run(t, func(f *fixture) {
		_, end := f.attach(relayed, 1)
		if _, err := f.p.Attach(relayed, end.send); !errors.Is(err, port.ErrTaken) {
			t.Errorf("an address twice: %v", err)
		}
		for _, at := range []string{"192.0.2.1:5000", "[2001:db8::1]:5000", "[fe80::1%eth0]:5000"} {
			if _, err := f.p.Attach(netip.MustParseAddrPort(at), end.send); err == nil {
				t.Errorf("%s is an address of the socket's", at)
			}
		}
		if got := f.value("bedside_paths", ""); got != 1 {
			t.Errorf("%v paths are open, want 1", got)
		}
	})
}
