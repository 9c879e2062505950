package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/bedside-video/bedside/sfu/port"
)

// sockets are the two halves of the one port.
type sockets struct {
	tcp net.Listener
	udp []net.PacketConn // one for each reader
}

// freePortTries is how often a port that is free for TCP may turn out to be taken for UDP when any
// port will do.
const freePortTries = 10

// openSockets listens on address for both TCP and UDP; port 0 means any that is free for both. another
// is how to choose another address; readers is media.readers.
func openSockets(address, another string, readers int) (sockets, error) {
	for try := 1; ; try++ {
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			return sockets{}, explainListen(address, another, err)
		}
		at := tcp.Addr().(*net.TCPAddr)
		udp, err := port.Listen(&net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone}, port.Readers(readers))
		if err == nil {
			return sockets{tcp: tcp, udp: udp}, nil
		}
		_ = tcp.Close()
		if _, number, _ := net.SplitHostPort(address); number != "0" || try == freePortTries {
			return sockets{}, explainListen(address, another, err)
		}
	}
}

func (s sockets) close() {
	_ = s.tcp.Close()
	for _, c := range s.udp {
		_ = c.Close()
	}
}

// addrPort is where both listen.
func (s sockets) addrPort() netip.AddrPort { return s.tcp.Addr().(*net.TCPAddr).AddrPort() }

// explainListen says what to do about an address that cannot be had: another is how to choose one.
func explainListen(address, another string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is taken, perhaps by another bedside: end that, or choose another port with %s", address, another)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s may be used by root only: choose a port above 1023 with %s", address, another)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine: choose another with %s", address, another)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}
