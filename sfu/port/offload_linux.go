package port

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bedside-video/bedside/sfu/port/plan"
)

// offload is whether the kernel cuts messages into datagrams (UDP_SEGMENT).
type offload struct {
	on      atomic.Bool // the metric reads it
	strikes int         // messages refused one after the other
}

// maxStrikes refusals with nothing cut between them mean that the socket cannot. Fewer may be one
// destination's: a path with a small MTU.
const maxStrikes = 8

// refusesSegments tells the errors of a message that could not be cut. EIO: the device computes no
// checksums. EINVAL, EMSGSIZE: the datagrams do not fit the path. ENOPROTOOPT, EOPNOTSUPP: never heard
// of it. (udp_send_skb in Linux's net/ipv4/udp.c)
func refusesSegments(errno syscall.Errno) bool {
	switch errno {
	case unix.EIO, unix.EINVAL, unix.EMSGSIZE, unix.ENOPROTOOPT, unix.EOPNOTSUPP:
		return true
	}
	return false
}

// refuse notes that a message was not cut.
func (o *offload) refuse(errno syscall.Errno) {
	o.strikes++
	if (errno != unix.EINVAL && errno != unix.EMSGSIZE) || o.strikes >= maxStrikes {
		o.on.Store(false)
	}
}

// worked notes that one was.
func (o *offload) worked() { o.strikes = 0 }

// CanSegment tells whether the kernel cuts messages into datagrams as it should, and if not, why.
func CanSegment() (bool, string) {
	if release := kernelRelease(); manglesSegments(release) {
		return false, "Linux " + release + " cuts messages wrongly for some network cards"
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return false, "no socket to try it with"
	}
	defer func() { _ = conn.Close() }()
	stats := newCounters()
	b, err := openBatch(conn, &stats, Options{}, linux(), &group{})
	if err != nil || !b.sender.offload.on.Load() {
		return false, "this kernel does not cut messages into datagrams"
	}
	return true, ""
}

// probeTimeout is generous: within a machine a datagram is there when it has been sent.
const probeTimeout = 200 * time.Millisecond

// probe cuts messages through the socket itself, to an address of this machine, and looks at what
// arrives: with an equal and with a shorter last datagram. What a network card does it cannot see.
func (s *sender) probe() bool {
	if manglesSegments(kernelRelease()) {
		return false
	}
	local := s.batch.conn.LocalAddr().(*net.UDPAddr)
	for _, ip := range []net.IP{local.IP, net.IPv4(127, 0, 0, 1), net.IPv6loopback} {
		if ip == nil || ip.IsUnspecified() {
			continue
		}
		if ear, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Zone: local.Zone}); err == nil {
			worked := s.probeTo(ear, local.Port)
			_ = ear.Close()
			if worked {
				return true
			}
		}
	}
	return false
}

func (s *sender) probeTo(ear *net.UDPConn, from int) bool {
	to := ear.LocalAddr().(*net.UDPAddr).AddrPort()
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if to.Addr().Is6() && !s.batch.ipv6 {
		return false
	}
	var p parcel
	for i, size := range []int{100, 100, 100, 200, 200, 50} {
		p.datagrams = append(p.datagrams, plan.Datagram{To: to, Offset: len(p.bytes), Size: size})
		p.bytes = append(p.bytes, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	s.plan.Make(p.datagrams, true)
	s.volley.load(&p, &s.plan, s.plan.Messages)
	defer func() { s.next = len(s.volley.headers) }() // not to be sent again
	if n, errno := s.call(s.volley.headers, true); errno != 0 || n != len(s.volley.headers) {
		return false
	}
	_ = ear.SetReadDeadline(time.Now().Add(probeTimeout))
	buf := make([]byte, datagramBytes)
	for i := 0; i < len(p.datagrams); {
		n, sender, err := ear.ReadFromUDPAddrPort(buf)
		if err != nil {
			return false
		}
		if int(sender.Port()) != from {
			continue // a stranger's
		}
		if !bytes.Equal(buf[:n], p.at(&p.datagrams[i])) {
			return false
		}
		i++
	}
	return true
}

// manglesSegments tells the kernels that cut some messages wrongly on the way to some network cards,
// which nothing here can see: Linux 7.0 to 7.1.4 (introduced by b10b446, mended by 78effd8 and 5f17ae0;
// tailscale/tailscale#19918).
func manglesSegments(release string) bool {
	var v [3]int
	for i, part := range strings.SplitN(release, ".", 3) {
		for _, c := range part {
			if c < '0' || c > '9' {
				break
			}
			v[i] = v[i]*10 + int(c-'0')
		}
	}
	return v[0] == 7 && (v[1] == 0 || v[1] == 1 && v[2] < 5)
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
