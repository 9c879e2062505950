package servetest_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	slowConnections = 2000
	// slowSeconds is how long the tool goes on; the joins take a fraction of it.
	slowSeconds = 30
	joiners     = 20
)

// People join while thousands of connections are held open by sending, or reading, next to nothing.
func TestSlowConnections(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("SKIPPED: SOAK=1 holds 2,000 slow connections open, in four ways")
	}
	tool, err := exec.LookPath("slowhttptest")
	if err != nil {
		t.Skip("SKIPPED: no slowhttptest here (Debian has it)")
	}
	tests := []struct {
		name  string
		path  string
		stand bool // connections stand until the server ends them
		args  []string
	}{
		{"headers", "/", true, []string{"-H", "-i", "3", "-x", "24"}},
		{"body", "/v1/join", true, []string{"-B", "-i", "3", "-s", "200", "-x", "10", "-t", "POST", "-f", "application/json"}},
		{"ranges", "/sdk/v1/bedside.js", false, []string{"-R", "-a", "10", "-b", "3000"}}, // answered at once: none stands for long
		{"reading", "/sdk/v1/bedside.js", true, []string{"-X", "-w", "10", "-y", "20", "-n", "5", "-z", "5", "-k", "10"}},
	}
	for _, scheme := range []string{"https", "http"} {
		for _, tt := range tests {
			t.Run(scheme+" "+tt.name, func(t *testing.T) {
				h := newHome(t)
				h.configure(t, fmt.Sprintf("tls: {cert_file: %s/cert.pem, key_file: %s/key.pem}\n", h.dir, h.dir))
				h.certify(t, 1, time.Now().Add(24*time.Hour))
				p := h.start(t)
				target := strings.Replace(p.url, "https", scheme, 1) + tt.path
				p.url = strings.Replace(p.url, "https", "http", 1) // the same port; our client trusts nobody
				before := p.files(t)
				attack(t, tool, append(tt.args, "-u", target))
				slow := 1
				if tt.stand {
					slow = p.untilSlow(t, before)
				}
				joinAll(t, p, slow)
				p.stop(t)
			})
		}
	}
}

// attack starts the tool; it is ended with the test.
func attack(t *testing.T, tool string, args []string) {
	t.Helper()
	c := exec.Command(tool, append(args, "-c", fmt.Sprint(slowConnections), "-r", "2000", "-l", fmt.Sprint(slowSeconds), "-p", "3")...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("slowhttptest printed\n%s", out.String())
		}
	})
}

// files counts the files that the process has open.
func (p *process) files(t *testing.T) int {
	t.Helper()
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// untilSlow waits until all connections stand, or until there are fewer again: the server ends who has
// said nothing sensible for 5 s, and the tool shakes hands on one core. It returns how many stood.
func (p *process) untilSlow(t *testing.T, before int) int {
	t.Helper()
	end := time.After(startTimeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	most := 0
	for {
		now := p.files(t) - before
		if most = max(most, now); now >= slowConnections || most >= slowConnections/4 && now < most*9/10 {
			return most
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("no more than %d connections at one time", most)
		}
	}
}

// joinAll has everybody join, one after the other, and wants all of them to get in.
func joinAll(t *testing.T, p *process, slow int) {
	t.Helper()
	var slowest time.Duration
	joined := 0
	for i := range joiners / 2 {
		began := time.Now()
		p.meet(t, fmt.Sprint("slow-", i)) // opens, two join, one is admitted; ends the test if not
		joined += 2
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("figure: beside %d slow connections, %d of them at one time, %d of %d joined; opening, joining twice and admitting took %v at most",
		slowConnections, slow, joined, joiners, slowest.Round(time.Millisecond))
}
