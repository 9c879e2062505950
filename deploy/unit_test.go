package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
)

// maxExposure is what systemd-analyze security may count: what is left are the network, one
// capability, and views of the host that the comments in the unit give reasons for.
const maxExposure = 2.0

func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: no systemd-analyze here: the unit is not verified")
	}
	unit := filepath.Join(t.TempDir(), "bedside.service")
	content := strings.ReplaceAll(read(t, "bedside.service"), "/usr/local/bin/bedside", bedside(t))
	if err := os.WriteFile(unit, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	if err != nil && len(out) == 0 || strings.Contains(string(out), "unrecognized option") {
		t.Skipf("SKIPPED: this systemd-analyze does not judge files (needs systemd 250): %s", out)
	}
	level := regexp.MustCompile(`Overall exposure level for bedside\.service: (\d+\.\d)`).FindSubmatch(out)
	if level == nil {
		t.Fatalf("no exposure level in\n%s", out)
	}
	if n, err := strconv.ParseFloat(string(level[1]), 64); err != nil || n > maxExposure {
		t.Errorf("exposure level %s, want %.1f at most", level[1], maxExposure)
	}
	t.Logf("figure: systemd-analyze security: exposure %s of 10", level[1])
}

// The unit has to fit the configuration that it starts with.
func TestUnitFitsTheConfiguration(t *testing.T) {
	unit := read(t, "bedside.service")
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindStringSubmatch(unit)
		if m == nil {
			t.Fatalf("no %s in the unit", key)
		}
		return m[1]
	}
	stop, err := time.ParseDuration(value("TimeoutStopSec"))
	if err != nil {
		t.Fatal(err)
	}
	// The longest drain that the configuration takes, and 10 s for the rest: cmd/bedside's closeTimeout.
	longest := time.Minute
	cfg := config.Default()
	if cfg.DrainTimeout = longest + time.Second; cfg.Validate() == nil {
		t.Fatal("drain_timeout may be longer than this test knows")
	}
	if stop < longest+10*time.Second {
		t.Errorf("TimeoutStopSec is %v, a drain may take %v", stop, longest+10*time.Second)
	}
	files, err := strconv.Atoi(value("LimitNOFILE"))
	if err != nil {
		t.Fatal(err)
	}
	if need := config.Default().Signaling.Limits.Sessions + 1024; files < need {
		t.Errorf("LimitNOFILE is %d, the sessions need %d", files, need)
	}
	if want := "/var/lib/" + value("StateDirectory"); config.Default().DataDir != want {
		t.Errorf("data_dir is %s, the unit may write to %s", config.Default().DataDir, want)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
