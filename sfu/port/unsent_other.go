//go:build !linux

package port

import "net"

// boundUnsent does nothing where there is no such option.
func boundUnsent(net.Conn) {}
