package main

import (
	"net"
	"net/netip"
	"slices"

	"github.com/bedside-video/bedside/config"
)

// maxAdvertised bounds the addresses that every answer names: a browser checks each of them.
const maxAdvertised = 8

// advertised returns the addresses at which this machine is told to receive media, best first. One
// that is listened on alone is all there is. Otherwise they are the machine's own: the one that the
// route to elsewhere starts at, the others, and loopback last, for pages on this machine when there
// is no network.
func advertised(listen netip.Addr, outbound netip.Addr, interfaces []netip.Addr) []netip.Addr {
	if listen.IsValid() && !listen.IsUnspecified() {
		return []netip.Addr{listen.Unmap()}
	}
	rank := func(a netip.Addr) int {
		switch {
		case a == outbound:
			return 0
		case a.IsLoopback():
			return 3
		case a.Is6():
			return 2
		}
		return 1
	}
	var found []netip.Addr
	for _, a := range interfaces {
		a = a.Unmap().WithZone("")
		// Link-local addresses mean nothing without the interface, which the other side cannot know.
		if a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	slices.SortStableFunc(found, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	return found[:min(len(found), maxAdvertised)]
}

// configuredAddresses are those of media.advertise, which Validate has seen.
func configuredAddresses(c config.Media, port uint16) []netip.AddrPort {
	list := make([]netip.AddrPort, len(c.Advertise))
	for i, a := range c.Advertise {
		list[i], _ = config.ParseAdvertised(a, port)
	}
	return list
}

// onPort puts one port to all addresses.
func onPort(addresses []netip.Addr, port uint16) []netip.AddrPort {
	list := make([]netip.AddrPort, len(addresses))
	for i, a := range addresses {
		list[i] = netip.AddrPortFrom(a, port)
	}
	return list
}

// justAddresses are the addresses alone.
func justAddresses(at []netip.AddrPort) []netip.Addr {
	list := make([]netip.Addr, len(at))
	for i, a := range at {
		list[i] = a.Addr()
	}
	return list
}

// maxAdvertisedTCP bounds those of them that are named for TCP, too: a browser opens a connection to
// each, and keeps it beside the path in use.
const maxAdvertisedTCP = 4

// onTCP returns where media may come by TCP. Nothing blocks UDP on the way to this machine itself.
func onTCP(advertised []netip.AddrPort) []netip.AddrPort {
	var found []netip.AddrPort
	for _, a := range advertised {
		if !a.Addr().IsLoopback() {
			found = append(found, a)
		}
	}
	return found[:min(len(found), maxAdvertisedTCP)]
}

// interfaceAddresses lists the addresses of the interfaces that are up.
func interfaceAddresses() ([]netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var found []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // the interface has gone
		}
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				found = append(found, prefix.Addr())
			}
		}
	}
	return found, nil
}

// outboundAddress is the address that a datagram to elsewhere would come from. Connecting a UDP
// socket asks the routing table and sends nothing; 192.0.2.1 is nobody's (RFC 5737).
func outboundAddress() netip.Addr {
	c, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
}
