package port_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/sfu/port"
)

// addressed is a connection from somewhere.
type addressed struct {
	net.Conn
	from   net.Addr
	closed int
}

func (a *addressed) RemoteAddr() net.Addr { return a.from }
func (a *addressed) Close() error         { a.closed++; return nil }

// queue is a listener of connections that are there already.
type queue struct {
	net.Listener
	conns []*addressed
}

func (q *queue) Accept() (net.Conn, error) {
	if len(q.conns) == 0 {
		return nil, net.ErrClosed
	}
	c := q.conns[0]
	q.conns = q.conns[1:]
	return c, nil
}

func (q *queue) come(ip string) *addressed {
	c := &addressed{from: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1000 + len(q.conns)}}
	q.conns = append(q.conns, c)
	return c
}

func TestCapTCP(t *testing.T) {
	for _, tt := range []struct {
		name string
		from []string
		want string // which are accepted, of three at most an address
	}{
		{"three of one address", []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, "[0 1 2]"},
		{"five of one address", []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"}, "[0 1 2]"},
		{"of neighbours", []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"}, "[0 1 2 3]"},
		{"of one IPv6 network", []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8:0:1::1"}, "[0 1 2 4]"},
		{"IPv4 in IPv6", []string{"::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"}, "[0 1 2]"},
		{"this machine", []string{"127.0.0.1", "127.0.0.1", "::1", "127.0.0.1", "127.0.0.1"}, "[0 1 2 3 4]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := &queue{}
			var all []*addressed
			for _, ip := range tt.from {
				all = append(all, q.come(ip))
			}
			l, err := port.CapTCP(q, 3, prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			accepted := 0
			for {
				if _, err := l.Accept(); err != nil {
					break
				}
				accepted++
			}
			var open []int
			for i, c := range all {
				if c.closed == 0 {
					open = append(open, i)
				}
			}
			if got := fmt.Sprint(open); got != tt.want || accepted != len(open) {
				t.Errorf("accepted %d and left open %s, want %s", accepted, got, tt.want)
			}
		})
	}
}

func TestCapTCPForgetsWhoLeaves(t *testing.T) {
	q := &queue{}
	l, err := port.CapTCP(q, 1, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		q.come("192.0.2.1")
		c, err := l.Accept()
		if err != nil {
			t.Fatal("the one before has gone, and yet: ", err)
		}
		_, _ = c.Close(), c.Close() // twice counts once
	}
	q.come("192.0.2.1")
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	late := q.come("192.0.2.1")
	if _, err := l.Accept(); err == nil || late.closed != 1 {
		t.Error("closing twice made room for two")
	}
}
