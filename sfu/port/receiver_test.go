package port_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/pion/stun/v4"

	"github.com/bedside-video/bedside/sfu/port"
)

// diary is a Receiver that writes down what it gets.
type diary struct{ entries []string }

func (d *diary) Check(m *stun.Message, from netip.AddrPort) {
	d.entries = append(d.entries, fmt.Sprintf("check %d from %v", m.Type.Method, from))
}

func (d *diary) DTLS(b []byte, from netip.AddrPort) {
	d.entries = append(d.entries, fmt.Sprintf("DTLS %d from %v", len(b), from))
}

func (d *diary) Media(b []byte, from netip.AddrPort) {
	d.entries = append(d.entries, fmt.Sprintf("media %d from %v", len(b), from))
}

func (d *diary) Flush() { d.entries = append(d.entries, "flush") }

var clientHello = []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0}

func TestReceiver(t *testing.T) {
	const good, other = "password of the endpoint", "another password altogether"
	for _, tt := range []struct {
		name string
		send func(t *testing.T, f *fixture)
		want []string
	}{
		{"everything in order", func(t *testing.T, f *fixture) {
			f.send(alice, check(t, "inline", good))
			f.send(alice, clientHello)
			f.send(alice, media)
		}, []string{"check 1 from 192.0.2.1:5000", "DTLS 15 from 192.0.2.1:5000", "media 13 from 192.0.2.1:5000", "flush"}},
		{"nothing before a check", func(_ *testing.T, f *fixture) {
			f.send(alice, clientHello)
			f.send(alice, media)
		}, nil},
		{"nothing after a wrong check", func(t *testing.T, f *fixture) {
			f.send(alice, check(t, "inline", other))
			f.send(alice, media)
		}, nil},
		{"nothing of others", func(t *testing.T, f *fixture) {
			f.send(alice, check(t, "inline", good))
			f.send(mallory, media)
			f.send(mallory, clientHello)
		}, []string{"check 1 from 192.0.2.1:5000"}},
		{"no invalid records", func(t *testing.T, f *fixture) {
			f.send(alice, check(t, "inline", good))
			f.send(alice, []byte{23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0})
		}, []string{"check 1 from 192.0.2.1:5000"}},
		{"nothing once it is forgotten", func(t *testing.T, f *fixture) {
			f.send(alice, check(t, "inline", good))
			f.p.Forget("inline")
			f.send(alice, media)
			f.send(alice, check(t, "inline", good))
		}, []string{"check 1 from 192.0.2.1:5000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(f *fixture) {
				var d diary
				if err := f.p.Open("inline", good, &d); err != nil {
					t.Fatal(err)
				}
				tt.send(t, f)
				synctest.Wait()
				if !slices.Equal(d.entries, tt.want) {
					t.Errorf("got %q, want %q", d.entries, tt.want)
				}
			})
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	run(t, func(f *fixture) {
		if err := f.p.Open("inline", "p", &diary{}); err != nil {
			t.Fatal(err)
		}
		if err := f.p.Open("inline", "q", &diary{}); !errors.Is(err, port.ErrTaken) {
			t.Errorf("a second one of the name: %v", err)
		}
		f.p.Forget("inline")
		if err := f.p.Open("inline", "q", &diary{}); err != nil {
			t.Errorf("after the first was forgotten: %v", err)
		}
		if err := f.p.Open("open to all", "", &diary{}); err == nil {
			t.Error("an endpoint without a password")
		}
		_ = f.p.Close()
		if err := f.p.Open("late", "p", &diary{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("on a closed port: %v", err)
		}
	})
}
