package port

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// inboxMessages are read with one system call. With GRO each may be 64 KiB, which hold a frame
	// of video; memory that is never filled is never had.
	inboxMessages    = 64
	inboxMessagesGRO = 16
	messageBytesGRO  = 64 << 10
)

// inbox is where the kernel puts what it has received.
type inbox struct {
	headers  []mmsghdr
	iovecs   []unix.Iovec
	names    []name
	controls []control
	bytes    []byte
	each     int // bytes of one message

	told    uint32 // how many the kernel had ever dropped, when it last said so
	dropped uint32 // since takeDropped
}

func newInbox(gro bool) *inbox {
	n, each := inboxMessages, datagramBytes
	if gro {
		n, each = inboxMessagesGRO, messageBytesGRO
	}
	in := &inbox{
		headers: make([]mmsghdr, n), iovecs: make([]unix.Iovec, n), names: make([]name, n), controls: make([]control, n),
		bytes: make([]byte, n*each), each: each,
	}
	for i := range in.headers {
		h := &in.headers[i].header
		in.iovecs[i].Base = &in.bytes[i*each]
		in.iovecs[i].SetLen(each)
		h.Iov = &in.iovecs[i]
		h.SetIovlen(1)
		in.reset(i)
	}
	return in
}

// reset makes a header fit to be filled: the kernel writes lengths into it.
func (in *inbox) reset(i int) {
	h := &in.headers[i].header
	h.Name, h.Namelen = in.names[i].bytes(), unix.SizeofSockaddrInet6
	h.Control = &in.controls[i].bytes[0]
	h.SetControllen(controlBytes)
}

// fill asks the kernel for what there is.
func (in *inbox) fill(k kernel, fd uintptr) (int, syscall.Errno) {
	n, errno := k.receive(fd, in.headers)
	if errno != 0 {
		return 0, errno
	}
	return n, 0
}

// empty hands out the datagrams of the i-th message and returns how many they were.
func (in *inbox) empty(i int, take func([]byte, netip.AddrPort)) int {
	segment, total, told := in.controls[i].read(int(in.headers[i].header.Controllen))
	if told {
		in.dropped += total - in.told // modulo 2^32, as the kernel counts
		in.told = total
	}
	b := in.bytes[i*in.each:][:in.headers[i].size]
	n := split(b, segment, in.names[i].addrPort(), take)
	in.reset(i)
	return n
}

// takeDropped returns how many datagrams more the kernel has dropped.
func (in *inbox) takeDropped() uint64 {
	n := in.dropped
	in.dropped = 0
	return uint64(n)
}

// split undoes GRO: every datagram has the size of a segment but the last, which may be shorter.
func split(b []byte, segment int, from netip.AddrPort, take func([]byte, netip.AddrPort)) (datagrams int) {
	if segment <= 0 {
		segment = max(len(b), 1)
	}
	for {
		n := min(segment, len(b))
		take(b[:min(n, datagramBytes)], from)
		datagrams++
		if b = b[n:]; len(b) == 0 {
			return datagrams
		}
	}
}
