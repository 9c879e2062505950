package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestAdvertised(t *testing.T) {
	tests := []struct {
		name                         string
		listen, outbound, interfaces string
		want                         string
	}{
		{"the one that is listened on", "192.0.2.1", "192.0.2.1", "127.0.0.1 192.0.2.1 198.51.100.1", "192.0.2.1"},
		{"loopback alone", "127.0.0.1", "192.0.2.1", "127.0.0.1 192.0.2.1", "127.0.0.1"},
		{"all, the outbound one first, loopback last", "::", "198.51.100.1", "127.0.0.1 ::1 192.0.2.1 198.51.100.1",
			"198.51.100.1 192.0.2.1 127.0.0.1 ::1"},
		{"IPv4 before IPv6, for browsers try them in order", "0.0.0.0", "", "2001:db8::1 192.0.2.1", "192.0.2.1 2001:db8::1"},
		{"no link-local address, which has no meaning elsewhere", "::", "", "fe80::1%eth0 169.254.1.1 192.0.2.1", "192.0.2.1"},
		{"each once", "::", "", "192.0.2.1 ::ffff:192.0.2.1", "192.0.2.1"},
		{"no network", "::", "", "127.0.0.1 ::1", "127.0.0.1 ::1"},
		{"eight at most", "::", "192.0.2.9", "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7 192.0.2.8 192.0.2.9",
			"192.0.2.9 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var outbound netip.Addr
			if tt.outbound != "" {
				outbound = netip.MustParseAddr(tt.outbound)
			}
			got := advertised(netip.MustParseAddr(tt.listen), outbound, addresses(tt.interfaces))
			if want := addresses(tt.want); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func addresses(list string) []netip.Addr {
	var out []netip.Addr
	for a := range strings.FieldsSeq(list) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestInterfaceAddressesIncludeLoopback(t *testing.T) {
	found, err := interfaceAddresses()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(found, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("got %v", found)
	}
}
