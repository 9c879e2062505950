package port

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentBytes is what the kernel may keep of a connection beyond what it has sent: without a bound it
// takes megabytes from whoever writes, which are seconds of media.
const unsentBytes = 16 << 10

// boundUnsent makes writing to a slow connection wait here and not in the kernel. A connection without a
// socket stays as it is.
func boundUnsent(c net.Conn) {
	for {
		inner, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = inner.NetConn()
	}
	socket, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
	})
}
