package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Validate returns everything that is wrong with the configuration, joined, or nil.
func (c Config) Validate() error { return errors.Join(c.problems()...) }

// ValidateServer returns what Validate does and what is wrong for a server in service: without a
// certificate it may be reached from this machine only, by a proxy that has one.
func (c Config) ValidateServer() error { return errors.Join(c.serverProblems()...) }

// Redacted returns the configuration as YAML, fit to be shown: secrets are "***", hashes of API
// keys too.
func (c Config) Redacted() string {
	c.Signaling.APIKeys = slices.Clone(c.Signaling.APIKeys)
	for i := range c.Signaling.APIKeys {
		c.Signaling.APIKeys[i].Hash = hidden
	}
	out, err := yaml.Marshal(c)
	if err != nil {
		panic("config: internal error: a configuration that is not YAML: " + err.Error())
	}
	return string(out)
}

// problems collects one error per key; none repeats a value.
type problems []error

func (p *problems) check(ok bool, key, want string) {
	if !ok {
		*p = append(*p, fmt.Errorf("%s: must be %s", key, want))
	}
}

func (c Config) problems() []error {
	var p problems
	p.check(isListenAddress(c.Listen), "listen", `[host]:port, such as ":8443"`)
	p.check(isBaseURL(c.PublicURL), "public_url", "http(s)://host[:port] without a path, as browsers reach this server")
	p.check(c.MetricsListen == "" || isListenAddress(c.MetricsListen), "metrics_listen", "host:port, or empty for none")
	p.check(c.MetricsListen == "" || c.MetricsListen != c.Listen || strings.HasSuffix(c.Listen, ":0"), "metrics_listen", "another address than listen")
	p.check((c.TLS.CertFile == "") == (c.TLS.KeyFile == ""), "tls.key_file", "set exactly when tls.cert_file is")
	c.TLS.ACME.appendProblems(&p)
	for i, n := range c.ProxyProtocol {
		prefix, err := netip.ParsePrefix(n)
		p.check(err == nil && prefix.Masked() == prefix && prefix.Bits() > 0, fmt.Sprintf("proxy_protocol[%d]", i),
			"the network of your proxies, such as 10.0.0.4/32: whoever is in it can say to be anybody")
	}
	var level slog.Level
	p.check(level.UnmarshalText([]byte(c.Log.Level)) == nil, "log.level", "debug, info, warn or error")
	p.check(c.Log.Format == "text" || c.Log.Format == "json", "log.format", "text or json")
	for i, a := range c.Media.Advertise {
		at, err := ParseAdvertised(a, 1)
		p.check(err == nil && !at.Addr().IsUnspecified() && !at.Addr().IsMulticast() && at.Addr().Zone() == "" && at.Port() != 0,
			fmt.Sprintf("media.advertise[%d]", i), `an IP address that clients can reach, with a port if it is another than that of listen: "203.0.113.7:443"`)
	}
	p.check(c.Media.GSO == GSOAuto || c.Media.GSO == GSOOff, "media.gso", GSOAuto+" or "+GSOOff)
	p.check(c.Media.Readers >= 0 && c.Media.Readers <= 8, "media.readers", "between 0 and 8")
	p.check(c.SFU.SSRCLimit >= 2 && c.SFU.SSRCLimit <= 256, "sfu.ssrc_limit", "between 2 and 256")
	p.check(c.DrainTimeout >= 0 && c.DrainTimeout <= time.Minute, "drain_timeout", "between 0s and 1m")
	p.check(c.Audit.OnFailure == AuditRefuse || c.Audit.OnFailure == AuditAllow, "audit.on_failure", AuditRefuse+" or "+AuditAllow)
	p.check(c.Audit.MinFreePercent >= 0 && c.Audit.MinFreePercent <= 90, "audit.min_free_percent", "between 0 and 90")
	c.TURN.appendProblems(&p)
	c.Signaling.appendProblems(&p)
	c.Recording.appendProblems(&p)
	return p
}

// ParseAdvertised reads one of Media.Advertise; port is that of Listen.
func ParseAdvertised(s string, port uint16) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(ip, port), nil
	}
	return netip.ParseAddrPort(s)
}

func (c Config) serverProblems() []error {
	p := problems(c.problems())
	p.check(filepath.IsAbs(c.DataDir), "data_dir", "the whole path of a directory of the server's own, such as /var/lib/bedside")
	p.check(len(c.TLS.ACME.Domains) == 0 || c.TLS.CertFile == "", "tls.acme.domains", "empty where tls.cert_file is set")
	p.check(c.TLS.CertFile != "" || len(c.TLS.ACME.Domains) > 0 || !isListenAddress(c.Listen) || isLoopback(c.Listen), "tls.cert_file",
		"set, unless listen is a loopback address: browsers give camera and microphone to HTTPS pages only")
	p.check(!isBaseURL(c.PublicURL) || strings.HasPrefix(c.PublicURL, "https://") || isLoopback(strings.TrimPrefix(c.PublicURL, "http://")),
		"public_url", "https://host[:port], unless it is localhost")
	return p
}

func (a ACME) appendProblems(p *problems) {
	p.check(len(a.Domains) <= 10, "tls.acme.domains", "10 at most")
	for i, d := range a.Domains {
		_, err := netip.ParseAddr(d)
		p.check(err != nil && isHost(d) && strings.Contains(d, ".") && d == strings.ToLower(d), fmt.Sprintf("tls.acme.domains[%d]", i), "a public host name in small letters, such as video.hospital.example")
	}
	u, err := url.Parse(a.Directory)
	p.check(err == nil && u.Scheme == "https" && u.Host != "", "tls.acme.directory", "the https address of an ACME directory")
}

func (s Signaling) appendProblems(p *problems) {
	ids := make(map[string]bool)
	for i, k := range s.APIKeys {
		k.appendProblems(p, fmt.Sprintf("signaling.api_keys[%d].", i))
		p.check(!ids[k.ID], fmt.Sprintf("signaling.api_keys[%d].id", i), "different from the ids of the other keys")
		ids[k.ID] = true
	}
	for _, secret := range []struct {
		key   string
		value Secret
	}{{"signaling.invitation_secret", s.InvitationSecret}, {"signaling.token_key", s.TokenKey}} {
		_, err := secret.value.Key(32)
		p.check(err == nil, secret.key, "32 random bytes in base64 (openssl rand -base64 32)")
	}
	for i, o := range s.Origins {
		p.check(isBaseURL(o), fmt.Sprintf("signaling.origins[%d]", i), "an origin, such as https://portal.hospital.example")
	}
	const day = 24 * time.Hour
	p.check(s.WindowLead >= 0 && s.WindowLead <= day, "signaling.window_lead", "between 0s and 24h")
	p.check(s.WindowTrail >= 0 && s.WindowTrail <= day, "signaling.window_trail", "between 0s and 24h")
	l := s.Limits
	p.check(l.Participants >= 2 && l.Participants <= 200, "signaling.limits.participants", "between 2 and 200")
	for _, limit := range []struct {
		key            string
		value, highest int
	}{
		{"consultations", l.Consultations, 1_000_000},
		{"sessions", l.Sessions, 1_000_000},
		{"sessions_per_ip", l.SessionsPerIP, 1_000_000},
		{"connections_per_ip", l.ConnectionsPerIP, 1_000_000},
		{"joins_per_second", l.JoinsPerSecond, 10_000},
		{"messages_per_sec", l.MessagesPerSec, 10_000},
		{"messages_in_burst", l.MessagesInBurst, 10_000},
	} {
		p.check(limit.value >= 1 && limit.value <= limit.highest, "signaling.limits."+limit.key,
			fmt.Sprintf("between 1 and %d", limit.highest))
	}
}

func (k APIKey) appendProblems(p *problems, prefix string) {
	p.check(isName(k.ID), prefix+"id", "1 to 64 letters, digits, - or _")
	p.check(isName(k.Tenant), prefix+"tenant", "1 to 64 letters, digits, - or _")
	hash, err := hex.DecodeString(k.Hash)
	p.check(err == nil && len(hash) == 32, prefix+"hash", "the SHA-256 of the key: 64 hexadecimal digits (bedside keys new-api-key)")
	p.check(len(k.Scopes) > 0, prefix+"scopes", "at least one of "+strings.Join(Scopes(), ", "))
	for i, s := range k.Scopes {
		p.check(slices.Contains(Scopes(), s), fmt.Sprintf("%sscopes[%d]", prefix, i), "one of "+strings.Join(Scopes(), ", "))
	}
	for i, o := range k.Origins {
		p.check(isBaseURL(o), fmt.Sprintf("%sorigins[%d]", prefix, i), "an origin, such as https://portal.hospital.example")
	}
}

func isName(s string) bool { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(s) }

func isListenAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == port
}

// isLoopback takes host or host:port. Names are not looked up: "localhost" is loopback by definition
// (RFC 6761 section 6.3).
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// isBaseURL accepts what RFC 6454 section 6.2 writes for an origin of http or https.
func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		u.Hostname() != "" && s == u.Scheme+"://"+u.Host
}
