package browser_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPaths has two people meet by each way there is to the one port, with everything else dropped by
// the server's firewall. The certificate is one that the browser trusts, or there would be no page and no
// relay over TLS.
func TestPaths(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	isolate(t, "TestPathsFromInside")
}

// way is one way to the port.
type way struct {
	name    string
	udp     bool   // the firewall lets it through
	only    string // what the page is limited to: "" for nothing
	path    string // what its statistics must say then
	firefox bool   // the patient's browser
}

func ways() []way {
	return []way{
		{"UDP", true, "", "udp host", false},
		{"ICE-TCP", false, "", "tcp host", false},
		{"TURN over UDP", true, "turn:udp", "relay udp", false},
		{"TURN over TCP", false, "turn:tcp", "relay tcp", false},
		{"TURN over TLS", false, "turns:tcp", "relay tls", false},
		{"UDP, Firefox", true, "", "udp host", true},
		{"TURN over TCP, Firefox", false, "turn:tcp", "relay tcp", true},
	}
}

// limitScript limits a page to one kind of relay, and notes when it is connected and by which path.
const limitScript = `
((only) => {
  if (!isSecureContext) return;
  const [scheme, transport] = only.split(':');
  // The server does not name its relay's UDP: see ownURLs in cmd/bedside. It is there all the same.
  const relays = (servers) => (servers ?? []).map((s) => ({ ...s, urls: [s.urls].flat().filter((u) => u.startsWith(scheme + ':')).
    map((u) => u.replace('transport=tcp', 'transport=' + transport)) })).filter((s) => s.urls.length);
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(c) {
      super(only ? { ...c, iceServers: relays(c?.iceServers), iceTransportPolicy: 'relay' } : c);
      this.addEventListener('connectionstatechange', () => {
        if (this.connectionState === 'connected') bedsideTest.connectedAt ??= bedsideTest.now();
      });
    }

    setConfiguration(c) {
      super.setConfiguration(only ? { ...c, iceServers: relays(c.iceServers), iceTransportPolicy: 'relay' } : c);
    }
  };
})(ONLY);
globalThis.pathInUse = async () => {
  for (const pc of bedsideTest.connections) {
    const stats = await pc.getStats();
    const all = [...stats.values()];
    const transport = all.find((s) => s.type === 'transport' && s.selectedCandidatePairId);
    const pair = transport ? stats.get(transport.selectedCandidatePairId) : all.find((s) => s.type === 'candidate-pair' && s.selected);
    const local = stats.get(pair?.localCandidateId);
    if (local) return local.candidateType === 'relay' ? 'relay ' + local.relayProtocol : local.protocol + ' ' + local.candidateType.replace('prflx', 'host');
  }
  return '';
};
`

// TestPathsFromInside is the half of TestPaths that runs where its browser is.
func TestPathsFromInside(t *testing.T) {
	w, inside := isolatedHere(t)
	if !inside {
		t.Skip("TestPaths runs it")
	}
	outer := t
	ca := newAuthority(t)
	w.firewall(t, true)
	s := serveIsolated(t, w, ca)
	home := t.TempDir()
	ca.trust(t, filepath.Join(home, ".pki", "nssdb"))
	ca.trust(t, filepath.Join(home, ".local", "share", "pki", "nssdb"))
	browser := newChromium(t, trusting(home)...)
	var fox *firefox // started when it is needed: it needs a processor while it does nothing
	for i, y := range ways() {
		t.Run(y.name, func(t *testing.T) {
			w.firewall(t, y.udp)
			c := &consultation{t: t, server: s, names: map[string]string{}}
			c.people = s.open(fmt.Sprintf("path-%d", i), "VP8", func(role string) string { return role }, clinician, patient)
			for _, p := range c.people {
				c.names[p.ID] = p.Role
			}
			c.newTab = func(name string) *tab { return newTab(t, t, browser, name, c.limited(name, y.only)) }
			if y.firefox {
				if fox == nil {
					fox = trustingFirefox(outer, ca)
				}
				chromium := c.newTab
				c.newTab = func(name string) *tab {
					if name != patient {
						return chromium(name)
					}
					return fox.newTab(t, name, c.limited(name, y.only))
				}
			}
			c.byOneWay(y)
			if y.name == "UDP" && os.Getenv("SOAK") != "" {
				c.leavesLossyUDP(w)
			}
			if n := w.counted(t, "unexpected"); n != 0 {
				t.Errorf("the server sent %d packets to others than its client", n)
			}
		})
	}
}

// trustingFirefox starts a Firefox that trusts the authority.
func trustingFirefox(t *testing.T, ca authority) *firefox {
	t.Helper()
	profile := t.TempDir()
	ca.trust(t, profile)
	return newFirefoxIn(t, profile)
}

// limited is page.js and what limits the page to one way.
func (c *consultation) limited(name, only string) string {
	ids, err := json.Marshal(c.names)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Replace(pageScript, "(PERSON)", fmt.Sprintf("(%q, %s, false)", name, ids), 1) +
		strings.Replace(limitScript, "ONLY", fmt.Sprintf("%q", only), 1)
}

// byOneWay has two people meet, and tells how long each step took.
func (c *consultation) byOneWay(y way) {
	c.t.Helper()
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	c.admit(doctor, sam)
	sam.seesMore(clinician, "camera", 10)
	doctor.seesMore(patient, "camera", 10)
	for _, p := range []struct {
		viewer *tab
		shown  string
	}{{sam, clinician}, {doctor, patient}} {
		if got := ask[string](p.viewer, "pathInUse()"); got != y.path {
			c.t.Errorf("%s: media goes by %q, want %q", p.viewer.name, got, y.path)
		}
		p.viewer.until("connection", "bedsideTest.connectedAt")
	}
	click := ask[float64](doctor, "bedsideTest.clicks.findLast((c) => c.action === 'admit').at")
	first := ask[float64](sam, "bedsideTest.frames[%q].firstShown", clinician+"/camera")
	connected := ask[float64](sam, "bedsideTest.connectedAt - bedsideTest.messages.find((m) => m.type === 'offer').at")
	c.t.Logf("figure: %s: connected %.0f ms after the offer, the first frame %.0f ms after Admit", y.name, connected, first-click)
}

// leavesLossyUDP: UDP that loses most of its packets is as good as blocked, and the page goes by TCP.
func (c *consultation) leavesLossyUDP(w isolated) {
	c.t.Helper()
	const most = "insert rule inet bedside in udp dport %d numgen random mod 10 < 5 drop"
	tool(c.t, fmt.Sprintf(most, w.Port), "ip", "netns", "exec", w.ServerSpace, "nft", "-f", "-")
	began := time.Now()
	for _, p := range c.present {
		ask[bool](p, "bedsideTest.until('TCP', 30000, async () => await pathInUse() === 'tcp host').then(() => true)")
	}
	c.t.Logf("figure: everybody goes by TCP %v after UDP began to lose half", time.Since(began).Round(100*time.Millisecond))
	c.seesEach()
}

// serveIsolated starts the server in its namespace, with a certificate of the authority.
func serveIsolated(t *testing.T, w isolated, ca authority) *server {
	t.Helper()
	binary, err := command()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca.certify(t, dir, w.Server)
	const key = "bedside_paths_test"
	sum := sha256.Sum256([]byte(key))
	file := filepath.Join(dir, "bedside.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
listen: ":%d"
metrics_listen: ""
public_url: https://%[2]s:%[1]d
data_dir: %[3]s/data
tls: {cert_file: %[3]s/cert.pem, key_file: %[3]s/key.pem}
log: {level: debug}
audit: {min_free_percent: 0}
signaling:
  api_keys: [{id: test, tenant: clinic, scopes: [consultations], hash: %[4]s}]
`, w.Port, w.Server, dir, hex.EncodeToString(sum[:])), 0o600); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	s := &server{t: t, url: fmt.Sprintf("https://%s:%d", w.Server, w.Port), key: key, exited: make(chan error, 1),
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}}
	s.process = exec.Command("ip", "netns", "exec", w.ServerSpace, binary, "serve", "--config", file)
	s.process.Stderr = &s.log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.exited <- s.process.Wait() }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the server logged:\n%s", s.log.String())
		}
	})
	s.ready()
	return s
}

// ready waits until the server answers.
func (s *server) ready() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/healthz", nil)
		if err != nil {
			s.t.Fatal(err)
		}
		if resp, err := s.client.Do(req); err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("the server does not answer; it logged:\n%s", s.log.String())
		}
	}
}
