//go:build !linux

package port

import "net"

// CanSegment tells whether the kernel cuts messages into datagrams as it should, and if not, why.
func CanSegment() (bool, string) { return false, "only Linux cuts messages into datagrams" }

// newBatches returns nil: other systems have no system calls for many datagrams that Go knows of.
func newBatches([]net.PacketConn, *counters, Options) ([]link, error) { return nil, nil }

// Listen opens the one socket that an address can have here.
func Listen(at *net.UDPAddr, _ int) ([]net.PacketConn, error) {
	c, err := net.ListenUDP("udp", at)
	if err != nil {
		return nil, err
	}
	return []net.PacketConn{c}, nil
}
