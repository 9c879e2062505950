package port

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernel is the system calls of a batch. Tests put others in their place.
type kernel struct {
	receive, send func(fd uintptr, headers []mmsghdr) (int, syscall.Errno)
}

// linux is the real one.
func linux() kernel {
	return kernel{
		receive: func(fd uintptr, headers []mmsghdr) (int, syscall.Errno) {
			return mmsg(unix.SYS_RECVMMSG, fd, headers)
		},
		send: func(fd uintptr, headers []mmsghdr) (int, syscall.Errno) {
			return mmsg(unix.SYS_SENDMMSG, fd, headers)
		},
	}
}

func mmsg(call, fd uintptr, headers []mmsghdr) (int, syscall.Errno) {
	n, _, errno := unix.Syscall6(call, fd, uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	size   uint32 // received or sent
}

// controlBytes holds what the kernel tells beside a datagram: UDP_GRO and SO_RXQ_OVFL, four bytes each.
const controlBytes = 64

// control is aligned as cmsg(3) wants it.
type control struct {
	_     [0]unix.Cmsghdr
	bytes [controlBytes]byte
}

// header is that of the first control message.
func (c *control) header() *unix.Cmsghdr { return (*unix.Cmsghdr)(unsafe.Pointer(&c.bytes[0])) }

// segment makes the kernel cut a message into datagrams of size bytes.
func (c *control) segment(h *unix.Msghdr, size int) {
	m := c.header()
	m.Level, m.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	m.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(c.bytes[unix.CmsgLen(0):], uint16(size))
	h.Control = &c.bytes[0]
	h.SetControllen(unix.CmsgSpace(2))
}

// read returns the size of the datagrams that the kernel has put together, 0 for one by itself, and how
// many it has ever dropped for want of room, if it says so.
func (c *control) read(length int) (segment int, dropped uint32, told bool) {
	b := c.bytes[:min(length, controlBytes)]
	for len(b) >= unix.SizeofCmsghdr {
		m := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := int(m.Len) //nolint:unconvert // its type depends on the architecture
		if size < unix.CmsgLen(0) || size > len(b) {
			break
		}
		if size >= unix.CmsgLen(4) {
			value := binary.NativeEndian.Uint32(b[unix.CmsgLen(0):])
			switch {
			case m.Level == unix.IPPROTO_UDP && m.Type == unix.UDP_GRO:
				segment = int(value)
			case m.Level == unix.SOL_SOCKET && m.Type == unix.SO_RXQ_OVFL:
				dropped, told = value, true
			}
		}
		b = b[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(b)):]
	}
	return segment, dropped, told
}

// name is a socket address of either family.
type name unix.RawSockaddrInet6

// bytes is n as struct msghdr has it.
func (n *name) bytes() *byte { return (*byte)(unsafe.Pointer(n)) }

// set makes h go to an address, in the family of the socket: an IPv6 socket reaches IPv4 by mapped
// addresses (RFC 3493 section 3.7).
func (n *name) set(h *unix.Msghdr, to netip.AddrPort, ipv6 bool) {
	h.Name = n.bytes()
	if !ipv6 {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		v4.Family = unix.AF_INET
		v4.Port = networkOrder(to.Port())
		v4.Addr = to.Addr().Unmap().As4()
		h.Namelen = unix.SizeofSockaddrInet4
		return
	}
	n.Family = unix.AF_INET6
	n.Port = networkOrder(to.Port())
	n.Addr = to.Addr().As16()
	n.Scope_id = scope(to.Addr())
	h.Namelen = unix.SizeofSockaddrInet6
}

// addrPort is where a datagram came from; IPv4 is never mapped.
func (n *name) addrPort() netip.AddrPort {
	switch n.Family {
	case unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), networkOrder(v4.Port))
	case unix.AF_INET6:
		a := netip.AddrFrom16(n.Addr).Unmap()
		if n.Scope_id != 0 {
			a = a.WithZone(strconv.Itoa(int(n.Scope_id))) // link-local, which no patient has
		}
		return netip.AddrPortFrom(a, networkOrder(n.Port))
	}
	return netip.AddrPort{}
}

// scope reads what addrPort has written.
func scope(a netip.Addr) uint32 {
	if a.Zone() == "" {
		return 0
	}
	n, err := strconv.ParseUint(a.Zone(), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// networkOrder converts a port from and to the order of sockaddr.
func networkOrder(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}
