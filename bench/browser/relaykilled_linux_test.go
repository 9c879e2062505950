package browser_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// edgePorts are those of two relays of their own.
var edgePorts = [2]int{3479, 3480}

// TestRelayKilled has a patient reach the server through one of two relays of their own, which is killed.
func TestRelayKilled(t *testing.T) {
	if os.Getenv("SOAK") == "" || *updateImages {
		t.Skip("SKIPPED: SOAK=1 kills a relay")
	}
	isolate(t, "TestRelayKilledFromInside")
}

// relayScript tells which relay carries the page's media.
const relayScript = `
globalThis.relayInUse = async () => {
  for (const pc of bedsideTest.connections) {
    const stats = await pc.getStats();
    const transport = [...stats.values()].find((s) => s.type === 'transport' && s.selectedCandidatePairId);
    const local = stats.get(stats.get(transport?.selectedCandidatePairId)?.localCandidateId);
    if (local) return local.url ?? '';
  }
  return '';
};
`

// TestRelayKilledFromInside is the half of TestRelayKilled that runs where its browser is.
func TestRelayKilledFromInside(t *testing.T) {
	w, inside := isolatedHere(t)
	if !inside {
		t.Skip("TestRelayKilled runs it")
	}
	w.firewall(t, true)
	for _, p := range edgePorts {
		tool(t, fmt.Sprintf("insert rule inet bedside in udp dport %[1]d accept\ninsert rule inet bedside out udp sport %[1]d accept", p),
			"ip", "netns", "exec", w.ServerSpace, "nft", "-f", "-")
	}
	secret := base64.StdEncoding.EncodeToString([]byte("thirty-two bytes of two relays.."))
	var urls []string
	edges := map[string]*exec.Cmd{}
	for _, p := range edgePorts {
		u := fmt.Sprintf("turn:%s:%d?transport=udp", w.Server, p)
		urls, edges[u] = append(urls, u), w.edge(t, p, secret)
	}
	t.Setenv("BEDSIDE_TURN_RELAY", "off")
	t.Setenv("BEDSIDE_TURN_URLS", strings.Join(urls, ","))
	t.Setenv("BEDSIDE_TURN_SECRET", secret)
	ca := newAuthority(t)
	s := serveIsolated(t, w, ca)
	home := t.TempDir()
	ca.trust(t, filepath.Join(home, ".pki", "nssdb"))
	ca.trust(t, filepath.Join(home, ".local", "share", "pki", "nssdb"))
	browser := newChromium(t, trusting(home)...)
	c := &consultation{t: t, server: s, names: map[string]string{}}
	c.people = s.open("relay-killed", "VP8", func(role string) string { return role }, clinician, patient)
	for _, p := range c.people {
		c.names[p.ID] = p.Role
	}
	c.newTab = func(name string) *tab {
		only := ""
		if name == patient {
			only = "turn:udp"
		}
		return newTab(t, t, browser, name, c.limited(name, only)+relayScript)
	}
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	c.admit(doctor, sam)
	sam.seesMore(clinician, "camera", 10)
	doctor.seesMore(patient, "camera", 10)

	used := ask[string](sam, "relayInUse()")
	if edges[used] == nil {
		t.Fatalf("media goes by %q, want one of %v", used, urls)
	}
	began := time.Now()
	_ = edges[used].Process.Kill()
	ask[bool](sam, "bedsideTest.until('another relay', 30000, async () => !['', %q].includes(await relayInUse())).then(() => true)", used)
	other := time.Since(began)
	sam.seesMore(clinician, "camera", 2)
	doctor.seesMore(patient, "camera", 2)
	took := time.Since(began)
	t.Logf("figure: a relay is killed: media goes by another after %v, both see each other after %v", other.Round(100*time.Millisecond), took.Round(100*time.Millisecond))
	if took > 5*time.Second {
		t.Errorf("both see each other again after %v, want 5 s at most", took)
	}
}

// edge starts a relay of its own in the server's namespace.
func (w isolated) edge(t *testing.T, port int, secret string) *exec.Cmd {
	t.Helper()
	binary, err := command()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "edge.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
listen: "%[1]s:%[2]d"
metrics_listen: ""
public_url: http://%[1]s:%[2]d
turn: {peers: ["%[1]s:%[3]d"], secret: "%[4]s"}
`, w.Server, port, w.Port, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("ip", "netns", "exec", w.ServerSpace, binary, "turn", "--config", file)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c
}
