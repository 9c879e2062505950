//go:build !linux

package batch

import (
	"net"
	"net/netip"
)

// fast does not exist here.
type fast struct{}

func newFast(*net.UDPConn) *fast { return nil }

func (*fast) read(func([]byte, netip.AddrPort)) error { return net.ErrClosed }

func (*fast) write([]byte, netip.AddrPort) error { return net.ErrClosed }

func (*fast) writeRun([]byte, int, netip.AddrPort) (bool, error) { return false, nil }
