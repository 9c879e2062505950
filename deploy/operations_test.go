package deploy_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shims stand for what a test must not do to the machine that it runs on: users, owners, kernel
// settings, and systemd, of which they do what the manual relies on.
var shims = map[string]string{
	"useradd": "", "chown": "", "sysctl": "",
	"runuser": `while [ "$1" != -- ]; do shift; done; shift; exec "$@"`,
	"install": `args=(); while [ $# -gt 0 ]; do case $1 in -o|-g) shift;; *) args+=("$1");; esac; shift; done
exec /usr/bin/install "${args[@]}"`,
	"systemctl": `
pid=$ROOT/pid; journal=$ROOT/journal
start() {
  command=$(sed -n 's/^ExecStart=//p' "$ROOT/etc/systemd/system/bedside.service" | sed "s#/usr/local/bin#$ROOT/usr/local/bin#; s#/etc/bedside#$ROOT/etc/bedside#")
  : > "$journal"
  nohup $command >> "$journal" 2>&1 &
  echo $! > "$pid"
  for i in $(seq 300); do
    grep -q '"msg":"serving"' "$journal" && return 0
    kill -0 "$(cat "$pid")" 2>/dev/null || break
    sleep 0.1
  done
  cat "$journal" >&2; return 1
}
stop() { kill -TERM "$(cat "$pid")" && tail -s 0.1 --pid="$(cat "$pid")" -f /dev/null; rm "$pid"; }
case "$*" in
  "start bedside"|"enable --now bedside") start ;;
  "stop bedside"|"disable --now bedside") stop ;;
  "restart bedside") stop; start ;;
  "is-active bedside") kill -0 "$(cat "$pid")" && echo active ;;
  daemon-reload) ;;
  *) echo "systemctl $*: the test knows nothing of it" >&2; exit 1 ;;
esac`,
}

// The manual, command by command, as a new administrator would follow it.
func TestOperations(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "openssl", "make", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: no %s here: the manual is not followed", tool)
		}
	}
	place := newPlace(t)
	script := place.script(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	c.Dir = root
	c.Env = place.environ()
	file := filepath.Join(place.root, "output")
	output, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = output, output // a file: what is left running must not hold a pipe
	err = c.Run()
	_ = output.Close()
	text := read(t, file)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for what, want := range map[string]int{
		`(?m)^bedside v0\.0\.1 `: 1, `(?m)^bedside v0\.0\.2 `: 1, // installed, upgraded
		`(?m)^ready$`: 1,
		`"join_url":"https://localhost:\d+/j/#[\w-]{22}"`: 6, // opened, restored, upgraded
		`(?m)^  in +UDP +\d+ `:                            2, // both checks
		`(?m)^localhost:\d+/audit: nothing is wrong$`:     2, // before the restore, and with two keys at the end
		`(?m)^FAIL`: 0,
		`(?m)^the manual expects this to fail, and it does: .*checkpoint`: 1,
	} {
		if n := len(regexp.MustCompile(what).FindAllString(text, -1)); n != want {
			t.Errorf("%s is there %d times, want %d", what, n, want)
		}
	}
	if _, err := os.Stat(filepath.Join(place.root, "pid")); err == nil {
		t.Error("the server still runs after uninstalling")
	}
	if t.Failed() {
		t.Logf("the commands printed\n%s", text)
	}
}

// place is a machine's file system, below a directory.
type place struct {
	root string
	port string
}

func newPlace(t *testing.T) place {
	t.Helper()
	p := place{root: t.TempDir(), port: freePort(t)}
	for _, dir := range []string{"etc/systemd/system", "etc/sysctl.d", "var/lib", "var/backups", "usr/local/bin", "home", "shims"} {
		if err := os.MkdirAll(filepath.Join(p.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range shims {
		if err := os.WriteFile(filepath.Join(p.root, "shims", name), []byte("#!/bin/bash\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		var pid int
		if text, err := os.ReadFile(filepath.Join(p.root, "pid")); err == nil {
			if _, err := fmt.Sscan(string(text), &pid); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL) // only after a failure: the manual stops it
			}
		}
	})
	return p
}

// freePort is free for TCP; that it is for UDP, too, is as good as sure.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (p place) environ() []string {
	return append(os.Environ(), "ROOT="+p.root, "HOME="+p.root+"/home", "GOCACHE="+goEnv("GOCACHE"), "GOMODCACHE="+goEnv("GOMODCACHE"),
		"GOPROXY="+goEnv("GOPROXY"), "GOSUMDB="+goEnv("GOSUMDB"),
		"PATH="+p.root+"/shims:"+p.root+"/usr/local/bin:"+os.Getenv("PATH"),
		"BEDSIDE_DATA_DIR="+p.root+"/var/lib/bedside", "BEDSIDE_METRICS_LISTEN=127.0.0.1:0", "BEDSIDE_AUDIT_MIN_FREE_PERCENT=0")
}

// goEnv keeps what another HOME would change.
func goEnv(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// script is all boxes of the manual that are to be run, with this place's directories and port.
func (p place) script(t *testing.T) string {
	t.Helper()
	boxes := regexp.MustCompile("(?ms)^```sh run\n(.*?)^```$").FindAllStringSubmatch(read(t, "../docs/operations.md"), -1)
	if len(boxes) < 10 {
		t.Fatalf("%d boxes to run", len(boxes))
	}
	here := strings.NewReplacer(
		"https://video.hospital.example", "https://localhost:"+p.port, "video.hospital.example", "localhost",
		`":443"`, `"127.0.0.1:`+p.port+`"`,
		"/etc/bedside", p.root+"/etc/bedside", "/etc/systemd", p.root+"/etc/systemd", "/etc/sysctl.d", p.root+"/etc/sysctl.d",
		"/var/lib", p.root+"/var/lib", "/var/backups", p.root+"/var/backups", "/usr/local/bin", p.root+"/usr/local/bin",
		"dist/bedside", p.root+"/dist/bedside",
	)
	// What must fail has to: bash's "!" does not count for -e.
	fails := regexp.MustCompile(`(?m)^! (.*)$`)
	var b strings.Builder
	built := 0
	for _, box := range boxes {
		commands := fails.ReplaceAllString(here.Replace(box[1]), "if $1; then echo 'succeeded: $1'; exit 1; fi; echo 'the manual expects this to fail, and it does: $1'")
		if strings.Contains(commands, "make build") {
			built++
			commands = strings.ReplaceAll(commands, "make build", fmt.Sprintf("make build DIST=%s/dist VERSION=v0.0.%d", p.root, built))
		}
		if strings.Contains(commands, "audit/checkpoint") {
			// An administrator is slower than the log, which signs a checkpoint each second.
			b.WriteString(here.Replace(settled))
		}
		b.WriteString("echo '--------'\nset -v\n" + commands + "set +v\n")
	}
	return b.String()
}

// settled waits until the checkpoint covers every record.
const settled = `for i in $(seq 100); do
  [ "$(sed -n 2p /var/lib/bedside/audit/checkpoint)" = "$(bedside audit export --data-dir /var/lib/bedside | wc -l)" ] && break
  sleep 0.1
done
`
