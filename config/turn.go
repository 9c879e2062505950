package config

import (
	"fmt"
	"net/netip"
	"regexp"
)

// TURN is about relays: that of the server, and others of their own.
type TURN struct {
	// Relay says whether the server relays to its own media plane, on its one port: RelayOn or RelayOff.
	Relay string `mapstructure:"relay" yaml:"relay"`
	// Host is how clients reach that relay; empty: the host of public_url. A proxy that takes HTTPS only
	// is no way to a relay.
	Host string `mapstructure:"host" yaml:"host"`
	// URLs are relays of their own that clients are told of, too: bedside turn, or any that knows
	// passwords made of a shared secret (coturn: use-auth-secret).
	URLs []string `mapstructure:"urls" yaml:"urls"`
	// Secret is what those share with this server: 32 random bytes in base64. Credentials of
	// PreviousSecret stay good, so that the secret can be changed during calls.
	Secret         Secret `mapstructure:"secret" yaml:"secret"`
	PreviousSecret Secret `mapstructure:"previous_secret" yaml:"previous_secret"`
	// Peers are the media addresses (IP:port) that a relay of its own reaches, and nothing else.
	Peers []string `mapstructure:"peers" yaml:"peers"`
	// Kbits is what one allocation may relay in either direction, in kbit/s.
	Kbits            int `mapstructure:"kbits" yaml:"kbits"`
	Allocations      int `mapstructure:"allocations" yaml:"allocations"`               // at once
	AllocationsPerIP int `mapstructure:"allocations_per_ip" yaml:"allocations_per_ip"` // a hospital may share one address
	Connections      int `mapstructure:"connections" yaml:"connections"`               // TCP and TLS at once
}

// The values of TURN.Relay.
const (
	RelayOn  = "on"
	RelayOff = "off"
)

func (t TURN) appendProblems(p *problems) {
	p.check(t.Relay == RelayOn || t.Relay == RelayOff, "turn.relay", RelayOn+" or "+RelayOff)
	p.check(t.Host == "" || isHost(t.Host), "turn.host", "a host name or IP address without a port, or empty")
	for i, u := range t.URLs {
		p.check(isTURN(u), fmt.Sprintf("turn.urls[%d]", i), "turn: or turns:host[:port][?transport=udp|tcp] (RFC 7065)")
	}
	for _, s := range []struct {
		key   string
		value Secret
	}{{"turn.secret", t.Secret}, {"turn.previous_secret", t.PreviousSecret}} {
		_, err := s.value.Key(32)
		p.check(err == nil, s.key, "32 random bytes in base64 (openssl rand -base64 32)")
	}
	p.check(len(t.URLs) == 0 || t.Secret.Reveal() != "", "turn.secret", "set if turn.urls is: the relays have to know it")
	for i, a := range t.Peers {
		at, err := netip.ParseAddrPort(a)
		p.check(err == nil && at.Port() != 0 && !at.Addr().IsUnspecified() && !at.Addr().IsMulticast() && !at.Addr().Is4In6() && at.Addr().Zone() == "",
			fmt.Sprintf("turn.peers[%d]", i), "IP:port of a media server")
	}
	for _, limit := range []struct {
		key                    string
		value, lowest, highest int
	}{
		{"kbits", t.Kbits, 64, 1_000_000},
		{"allocations", t.Allocations, 1, 10_000},
		{"allocations_per_ip", t.AllocationsPerIP, 1, 10_000},
		{"connections", t.Connections, 1, 100_000},
	} {
		p.check(limit.value >= limit.lowest && limit.value <= limit.highest, "turn."+limit.key, fmt.Sprintf("between %d and %d", limit.lowest, limit.highest))
	}
}

// relayProblems are those of a relay of its own.
func (c Config) relayProblems() []error {
	p := problems(c.problems())
	p.check(len(c.TURN.Peers) > 0 && len(c.TURN.Peers) <= 16, "turn.peers", "1 to 16 media addresses of the server to relay to")
	p.check(c.TURN.Secret.Reveal() != "", "turn.secret", "set, as it is at the server")
	return p
}

func isHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`).MatchString(s)
}

func isTURN(s string) bool {
	return regexp.MustCompile(`^turns?:([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(\?transport=(udp|tcp))?$`).MatchString(s)
}
