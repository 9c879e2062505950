package servetest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testssl.sh, which tries protocols, ciphers and known weaknesses one by one, finds nothing of medium or
// higher severity. What it says of the certificate is about the test's own.
func TestTLSByAnotherProgram(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("SKIPPED: SOAK=1 runs testssl.sh, for a minute or more")
	}
	tool, err := exec.LookPath("testssl")
	if err != nil {
		t.Skip("SKIPPED: no testssl here (Debian has it: testssl.sh)")
	}
	h := newHome(t)
	h.configure(t, fmt.Sprintf("tls: {cert_file: %s/cert.pem, key_file: %s/key.pem}\n", h.dir, h.dir))
	h.certify(t, 1, time.Now().Add(24*time.Hour))
	p := h.start(t)
	defer p.stop(t)
	report := filepath.Join(t.TempDir(), "report.json")
	out, err := exec.Command(tool, "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", report,
		"-p", "-s", "-P", "-S", "-U", strings.TrimPrefix(p.url, "https://")).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // its exit code counts what it finds
		t.Fatalf("testssl: %v\n%s", err, out)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(text, &findings); err != nil {
		t.Fatal(err)
	}
	offered := 0
	for _, f := range findings {
		switch {
		case strings.HasPrefix(f.ID, "cert"):
		case f.Severity == "MEDIUM" || f.Severity == "HIGH" || f.Severity == "CRITICAL" || f.Severity == "FATAL":
			t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
		case (f.ID == "TLS1_2" || f.ID == "TLS1_3") && strings.HasPrefix(f.Finding, "offered"):
			offered++
		}
	}
	if offered != 2 || len(findings) < 50 {
		t.Errorf("%d findings, and %d of TLS 1.2 and 1.3 offered:\n%s", len(findings), offered, out)
	}
	t.Logf("figure: testssl.sh: %d findings, none of medium or higher", len(findings))
}
