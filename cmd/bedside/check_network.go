package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/bedside-video/bedside/config"
)

// checkPorts binds what the server would bind. A port that a bedside has is fine: the check is also
// run beside the server.
func (h host) checkPorts(context.Context) []finding {
	found := []finding{h.checkPort("tcp", h.cfg.Listen, "listen"), h.checkPort("udp", h.cfg.Listen, "listen")}
	if h.cfg.MetricsListen != "" {
		found = append(found, h.checkPort("tcp", h.cfg.MetricsListen, "metrics_listen"))
		if at, _, _ := net.SplitHostPort(h.cfg.MetricsListen); !isLoopbackHost(at) {
			found = append(found, warn("port", "metrics_listen is not a loopback address: whoever reaches it can read the metrics",
				"metrics_listen: 127.0.0.1:9443, or a firewall rule for the Prometheus server alone"))
		}
	}
	return found
}

func (h host) checkPort(network, address, key string) finding {
	return h.judgePort(network, address, key, bind(network, address))
}

// judgePort says what the error of binding a port, or nil, means.
func (h host) judgePort(network, address, key string, err error) finding {
	const check = "port"
	name := strings.ToUpper(network) + " " + address
	switch {
	case err == nil:
		return ok(check, "%s can be bound", name)
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(address)
		holder, pid := h.holder(network, port)
		switch {
		case holder == "bedside":
			return ok(check, "%s is held by bedside (process %d), which is running", name, pid)
		case holder == "" && inUse(h.cfg.DataDir):
			// The kernel shows what a process with a capability has open to root only.
			return ok(check, "%s is taken, and a bedside runs on %s", name, h.cfg.DataDir)
		case holder != "":
			return fail(check, fmt.Sprintf("%s is taken by %s (process %d)", name, holder, pid), "end that, or choose another port with "+key)
		}
		return fail(check, name+" is taken by a process that this user may not see",
			"find it with: ss -lpn | grep :"+port+" (as root); end it, or choose another port with "+key)
	case errors.Is(err, syscall.EACCES):
		return warn(check, name+" could not be tried: this user may not bind ports below 1024",
			"nothing, if the systemd unit starts the server: it has CAP_NET_BIND_SERVICE; else choose a port above 1023 with "+key)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fail(check, name+" is not an address of this machine", key+`: ":443" listens on all of them`)
	}
	return fail(check, fmt.Sprintf("%s cannot be bound: %v", name, err), "correct "+key)
}

func bind(network, address string) error {
	if network == "udp" {
		c, err := net.ListenPacket(network, address)
		if err == nil {
			err = c.Close()
		}
		return err
	}
	l, err := net.Listen(network, address)
	if err == nil {
		err = l.Close()
	}
	return err
}

// holder finds the process that has a port, in /proc as ss does it: the port's inode in net/, then
// who has that inode open. It returns "" when there is none that this user may see.
func (h host) holder(network, port string) (string, int) {
	wanted := make(map[string]bool)
	for _, table := range []string{network, network + "6"} {
		content, _ := os.ReadFile(filepath.Join(h.proc, "net", table)) // no IPv6: no such table
		for line := range strings.Lines(string(content)) {
			// proc(5): sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			f := strings.Fields(line)
			const stateListen, stateUDP = "0A", "07"
			if len(f) < 10 || f[3] != stateListen && f[3] != stateUDP {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && strconv.FormatUint(n, 10) == port {
				wanted["socket:["+f[9]+"]"] = true
			}
		}
	}
	open, _ := filepath.Glob(filepath.Join(h.proc, "[0-9]*", "fd", "*"))
	for _, fd := range open {
		target, err := os.Readlink(fd)
		if err != nil || !wanted[target] {
			continue
		}
		process := filepath.Dir(filepath.Dir(fd))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			continue // it has just ended
		}
		pid, _ := strconv.Atoi(filepath.Base(process))
		return strings.TrimSpace(string(name)), pid
	}
	return "", 0
}

// checkPublicURL compares what browsers are told with what is listened to.
func (h host) checkPublicURL(context.Context) []finding {
	const check = "public_url"
	u, err := url.Parse(h.cfg.PublicURL)
	if err != nil {
		return []finding{fail(check, "not a URL", "public_url: https://video.hospital.example")}
	}
	if h.cfg.TLS.CertFile == "" && len(h.cfg.TLS.ACME.Domains) == 0 {
		return []finding{warn(check, "without a certificate only this machine can use the server",
			"set tls.cert_file and tls.key_file; behind a proxy, note that media goes past it to "+h.cfg.Listen+"/udp")}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	_, listen, _ := net.SplitHostPort(h.cfg.Listen)
	if port != listen {
		return []finding{warn(check, fmt.Sprintf("browsers go to port %s, the server listens on %s", port, listen),
			fmt.Sprintf(`forward %s to %s, or listen: ":%s"; media is sent to port %s, which must be open as it is`, port, listen, port, listen))}
	}
	return []finding{ok(check, "%s leads to %s", h.cfg.PublicURL, h.cfg.Listen)}
}

// checkAddresses compares the addresses that clients send media to with those of the machine.
func (h host) checkAddresses(context.Context) []finding {
	found, err := interfaceAddresses()
	if err != nil {
		return []finding{warn("addresses", fmt.Sprintf("the machine's addresses cannot be listed: %v", err), "set media.advertise")}
	}
	at, err := h.advertised(found)
	if err != nil {
		return nil // checkPorts has said so
	}
	return append([]finding{compareAddresses(len(h.cfg.Media.Advertise) > 0, justAddresses(at), found)}, judgeAddressPorts(at)...)
}

// advertised is what a server on this machine would tell clients.
func (h host) advertised(interfaces []netip.Addr) ([]netip.AddrPort, error) {
	at, text, err := net.SplitHostPort(h.cfg.Listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	if len(h.cfg.Media.Advertise) > 0 {
		return configuredAddresses(h.cfg.Media, uint16(port)), nil
	}
	listen, _ := netip.ParseAddr(at) // not valid: all of them
	return onPort(advertised(listen, outboundAddress(), interfaces), uint16(port)), nil
}

// compareAddresses judges what is advertised, be it configured or found.
func compareAddresses(configured bool, at, interfaces []netip.Addr) finding {
	const check = "addresses"
	if !configured {
		reachable := slices.ContainsFunc(at, func(a netip.Addr) bool { return !a.IsLoopback() })
		if !reachable {
			return warn(check, "media can only be reached from this machine: it has no other address", "set media.advertise")
		}
		public := slices.ContainsFunc(at, func(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() })
		if !public {
			return warn(check, fmt.Sprintf("clients send media to %s: private addresses, which nobody outside can reach", join(at)),
				"if patients join from home, set media.advertise to the public address that the router forwards")
		}
		return ok(check, "clients send media to %s", join(at))
	}
	var behind []netip.Addr
	for _, a := range at {
		if !slices.Contains(interfaces, a) {
			behind = append(behind, a)
		}
	}
	if len(behind) > 0 {
		return warn(check, join(behind)+" is not an address of this machine",
			"right behind NAT: then the router must forward the port, UDP and TCP, unchanged; wrong otherwise")
	}
	return ok(check, "clients send media to %s", join(at))
}

// judgeAddressPorts finds the addresses that browsers refuse by their port. Chromium sends media to no
// port below 1024, but to 80 and 443 of public addresses, and says nothing (webrtc, VerifyCandidate;
// found with Chromium 156, 2026-11-22).
func judgeAddressPorts(at []netip.AddrPort) []finding {
	const check, lowest = "addresses", 1024
	var refused []string
	for _, a := range at {
		web := a.Port() == 443 || a.Port() == 80
		if ip := a.Addr(); a.Port() < lowest && !ip.IsLoopback() && (!web || ip.IsPrivate()) {
			refused = append(refused, a.String())
		}
	}
	if refused == nil {
		return nil
	}
	return []finding{fail(check, "Chrome and Edge send no media to "+strings.Join(refused, ", ")+": they refuse port 443 of private addresses, and other ports below 1024",
		`listen on a port above 1023 (listen: ":8443"), or redirect one and name it: media.advertise: ["`+
			refused[0][:strings.LastIndex(refused[0], ":")]+`:8443"]`)}
}

func join(list []netip.Addr) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}

func isLoopbackHost(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// firewallRule is one line for whoever runs the firewall.
type firewallRule struct {
	Direction string `json:"direction"`
	Protocol  string `json:"protocol"`
	Port      string `json:"port"`
	From      string `json:"from"`
	To        string `json:"to"`
	Why       string `json:"why"`
}

// firewallRules are all connections that the server needs. There is no outgoing one: it answers
// (design D4: nothing is sent to the internet).
func firewallRules(cfg config.Config) []firewallRule {
	_, port, _ := net.SplitHostPort(cfg.Listen)
	to := or(strings.Join(cfg.Media.Advertise, ", "), "this server")
	const people = "participants (any address)"
	rules := []firewallRule{
		{"in", "UDP", port, people, to, "sound and pictures (STUN, DTLS, SRTP, TURN)"},
		{"in", "TCP", port, people, to, "pages and signalling (HTTPS, WebSocket); media where UDP is blocked (ICE-TCP, TURN)"},
		{"in", "TCP", port, "scheduling systems", to, "API (HTTPS), the same port"},
	}
	if at, metrics, err := net.SplitHostPort(cfg.MetricsListen); err == nil && !isLoopbackHost(at) {
		rules = append(rules, firewallRule{"in", "TCP", metrics, "the Prometheus server", or(at, "this server"), "metrics (HTTP, unencrypted)"})
	}
	if a := cfg.TLS.ACME; len(a.Domains) > 0 {
		rules = append(rules, firewallRule{"out", "TCP", "443", "this server", a.Directory, "certificates (ACME), and DNS for that name"})
	}
	return rules
}

func printFirewall(to io.Writer, rules []firewallRule, port string) {
	_, _ = fmt.Fprintln(to, "Firewall: what must be let through")
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "  direction\tprotocol\tport\tfrom\tto\twhy")
	for _, r := range rules {
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", r.Direction, r.Protocol, r.Port, r.From, r.To, r.Why)
	}
	_ = t.Flush()
	out := "  out: nothing. The server opens no connection; only answers to the above leave it. A stateful\n"
	if slices.ContainsFunc(rules, func(r firewallRule) bool { return r.Direction == "out" }) {
		out = "  out: nothing else. Answers to what comes in leave the server, too. A stateful\n"
	}
	_, _ = fmt.Fprint(to, out,
		"  filter must keep an idle UDP mapping for 30 s or more. No proxy may stand before the UDP port.\n",
		"  On this machine, for everybody, that is one of:\n")
	for _, line := range []string{
		"nft add rule inet filter input udp dport %[1]s accept; nft add rule inet filter input tcp dport %[1]s accept",
		"ufw allow %[1]s/udp; ufw allow %[1]s/tcp",
		"firewall-cmd --permanent --add-port=%[1]s/udp --add-port=%[1]s/tcp; firewall-cmd --reload",
	} {
		_, _ = fmt.Fprintf(to, "    "+line+"\n", port)
	}
}
