//go:build !linux

package port

import "net"

// CanSegment tells whether the kernel cuts messages into datagrams as it should, and if not, why.
func CanSegment() (bool, string) { return false, "only Linux cuts messages into datagrams" }

// newBatch returns nil: other systems have no system calls for many datagrams that Go knows of.
func newBatch(net.PacketConn, *counters, Options) (link, error) { return nil, nil }
