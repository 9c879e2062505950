package port

import (
	"context"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen opens n UDP sockets of one address, among which the kernel shares out the senders (SO_REUSEPORT).
// One socket has the address for itself.
func Listen(at *net.UDPAddr, n int) ([]net.PacketConn, error) {
	var conf net.ListenConfig
	if n > 1 {
		conf.Control = func(_, _ string, raw syscall.RawConn) error {
			var err error
			controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
			if controlErr != nil {
				return controlErr
			}
			return err
		}
	}
	var conns []net.PacketConn
	for range max(n, 1) {
		c, err := conf.ListenPacket(context.Background(), "udp", at.String())
		if err != nil {
			for _, open := range conns {
				_ = open.Close()
			}
			return nil, fmt.Errorf("port: %w", err)
		}
		conns = append(conns, c)
		at = c.LocalAddr().(*net.UDPAddr) // the others have the port that this one was given
	}
	return conns, nil
}
