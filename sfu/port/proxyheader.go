package port

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt of 2020-03-05): what a proxy says
// of whom a connection comes from, before anything else.
const (
	proxyV1Max  = 107 // section 2.1: the longest line, with its end
	proxyV2Head = 16
	// proxyV2Max bounds what version 2 may carry beside the addresses; AWS and HAProxy send below 200 bytes.
	proxyV2Max = 1024
)

// errProxyHeader tells of a header that is none.
var errProxyHeader = errors.New("port: not a PROXY protocol header")

// proxyHeader reads what a connection begins with. size 0 without an error asks for more bytes. from is
// not valid where the proxy speaks for itself, as when it tests whether we are there.
func proxyHeader(b []byte) (from netip.AddrPort, size int, err error) {
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	switch {
	case bytes.HasPrefix(b, []byte(signature)):
		return proxyV2(b)
	case bytes.HasPrefix(b, []byte("PROXY ")):
		return proxyV1(b)
	case strings.HasPrefix(signature, string(b)), strings.HasPrefix("PROXY ", string(b)):
		return from, 0, nil
	}
	return from, 0, errProxyHeader
}

func proxyV1(b []byte) (from netip.AddrPort, size int, err error) {
	end := bytes.Index(b[:min(len(b), proxyV1Max)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= proxyV1Max {
			err = errProxyHeader
		}
		return from, 0, err
	}
	fields := strings.Split(string(b[:end]), " ")
	size = end + len("\r\n")
	if len(fields) >= 2 && fields[1] == "UNKNOWN" {
		return from, size, nil
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return from, 0, errProxyHeader
	}
	addr, err := netip.ParseAddr(fields[2])
	port, errPort := strconv.ParseUint(fields[4], 10, 16)
	if err != nil || errPort != nil || addr.Is4() != (fields[1] == "TCP4") {
		return from, 0, errProxyHeader
	}
	if from, err = proxied(addr, uint16(port)); err != nil {
		size = 0
	}
	return from, size, err
}

func proxyV2(b []byte) (from netip.AddrPort, size int, err error) {
	if len(b) < proxyV2Head {
		return from, 0, nil
	}
	const versionLocal, versionProxy, tcp4, tcp6 = 0x20, 0x21, 0x11, 0x21
	length := int(binary.BigEndian.Uint16(b[14:]))
	if length > proxyV2Max || b[12] != versionLocal && b[12] != versionProxy {
		return from, 0, errProxyHeader
	}
	if size = proxyV2Head + length; len(b) < size {
		return from, 0, nil
	}
	if b[12] == versionLocal {
		return from, size, nil
	}
	addresses := b[proxyV2Head:size]
	switch {
	case b[13] == tcp4 && length >= 12:
		from, err = proxied(netip.AddrFrom4([4]byte(addresses)), binary.BigEndian.Uint16(addresses[8:]))
	case b[13] == tcp6 && length >= 36:
		from, err = proxied(netip.AddrFrom16([16]byte(addresses)), binary.BigEndian.Uint16(addresses[32:]))
	case b[13] == 0: // of no family: as version 1's UNKNOWN
	default:
		err = errProxyHeader
	}
	if err != nil {
		size = 0
	}
	return from, size, err
}

// proxied takes the address of a client that is not the proxy's own machine: from loopback more is allowed,
// and no proxy may give that away.
func proxied(a netip.Addr, port uint16) (netip.AddrPort, error) {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return netip.AddrPort{}, errProxyHeader
	}
	return netip.AddrPortFrom(a, port), nil
}
