package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
)

// checked is a host whose configuration is right, with a data directory of its own.
func checked(t *testing.T) host {
	t.Helper()
	cfg := config.Default()
	cfg.Listen, cfg.MetricsListen = "127.0.0.1:0", ""
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	// How full the disk of the tests is says nothing of the program.
	half := func(string) (free, total uint64, known bool) { return 50e9, 100e9, true }
	return host{world: testWorld(&out, &errs), cfg: cfg, proc: t.TempDir(), space: half, uid: os.Getuid(), build: build{Version: "v1.2.3"}}
}

// judged writes findings as a table can hold them: status and the beginning of what is said.
func judged(found ...finding) string {
	var lines []string
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%s %s: %s", f.Status, f.Check, f.Detail))
	}
	return strings.Join(lines, "\n")
}

// wantFindings compares line by line: each of want is the beginning of a finding.
func wantFindings(t *testing.T, got []finding, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("found\n%s\nwant\n%s", judged(got...), strings.Join(want, "\n"))
	}
	for i, f := range got {
		if !strings.HasPrefix(judged(f), want[i]) {
			t.Errorf("found %q, want %q", judged(f), want[i])
		}
		if (f.Fix == "") != (f.Status == statusOK) {
			t.Errorf("%q says to do %q", judged(f), f.Fix)
		}
	}
}

func TestCheckPort(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	taken := tcp.Addr().String()
	_, port, _ := net.SplitHostPort(taken)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = udp.Close() }()
	tests := []struct {
		name             string
		network, address string
		proc             string // the files of a /proc
		want             string
	}{
		{"free for TCP", "tcp", "127.0.0.1:0", "", "ok port: TCP 127.0.0.1:0 can be bound"},
		{"free for UDP", "udp", "127.0.0.1:0", "", "ok port: UDP 127.0.0.1:0 can be bound"},
		{"taken by another", "tcp", taken, "apache2", "FAIL port: TCP " + taken + " is taken by apache2 (process 77)"},
		{"taken by bedside", "tcp", taken, "bedside", "ok port: TCP " + taken + " is held by bedside (process 77), which is running"},
		{"taken by nobody visible", "tcp", taken, "", "FAIL port: TCP " + taken + " is taken by a process that this user may not see"},
		{"taken for UDP", "udp", udp.LocalAddr().String(), "", "FAIL port: UDP " + udp.LocalAddr().String() + " is taken by"},
		{"another machine's", "udp", "192.0.2.1:0", "", "FAIL port: UDP 192.0.2.1:0 is not an address of this machine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := checked(t)
			if tt.proc != "" {
				fakeProcess(t, h.proc, tt.proc, port)
			}
			wantFindings(t, []finding{h.checkPort(tt.network, tt.address, "listen")}, tt.want)
		})
	}
}

func TestJudgePort(t *testing.T) {
	h := checked(t)
	wantFindings(t, []finding{
		h.judgePort("tcp", ":443", "listen", fmt.Errorf("bind: %w", syscall.EACCES)),
		h.judgePort("udp", ":443", "listen", syscall.EADDRNOTAVAIL),
		h.judgePort("udp", ":443", "listen", syscall.ENOBUFS),
		h.judgePort("udp", ":443", "listen", syscall.EADDRINUSE),
	}, "warn port: TCP :443 could not be tried", "FAIL port: UDP :443 is not an address of this machine", "FAIL port: UDP :443 cannot be bound: no buffer",
		"FAIL port: UDP :443 is taken by a process that this user may not see")
	data, err := openDataDir(h.cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	taken := []finding{h.judgePort("udp", ":443", "listen", syscall.EADDRINUSE)}
	wantFindings(t, taken, "ok port: UDP :443 is taken, and a bedside runs on "+h.cfg.DataDir)
	data.close()
	taken = []finding{h.judgePort("udp", ":443", "listen", syscall.EADDRINUSE)}
	wantFindings(t, taken, "FAIL port: UDP :443 is taken by a process that this user may not see")
}

// fakeProcess writes a /proc in which process 77 of the given name listens on a TCP port.
func fakeProcess(t *testing.T, proc, name, port string) {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"net", "77/fd"} {
		if err := os.MkdirAll(filepath.Join(proc, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		fmt.Sprintf("   0: 0100007F:%04X 0100007F:0001 01 00000000:00000000 00:00000000 00000000     0        0 4710 1\n", n) +
		fmt.Sprintf("   1: 0100007F:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n", n)
	for file, content := range map[string]string{"net/tcp": table, "77/comm": name + "\n"} {
		if err := os.WriteFile(filepath.Join(proc, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("socket:[4711]", filepath.Join(proc, "77/fd/5")); err != nil {
		t.Fatal(err)
	}
}

// This process is found by its own /proc, if it has one.
func TestCheckPortNamesTheHolder(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("SKIPPED: no /proc here")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	h := checked(t)
	h.proc = "/proc"
	want := fmt.Sprintf("FAIL port: TCP %s is taken by bedside.test (process %d)", l.Addr(), os.Getpid())
	wantFindings(t, []finding{h.checkPort("tcp", l.Addr().String(), "listen")}, want)
}

func TestCheckPorts(t *testing.T) {
	h := checked(t)
	h.cfg.MetricsListen = "0.0.0.0:0"
	wantFindings(t, h.checkPorts(t.Context()), "ok port: TCP 127.0.0.1:0", "ok port: UDP 127.0.0.1:0", "ok port: TCP 0.0.0.0:0",
		"warn port: metrics_listen is not a loopback address")
	h.cfg.MetricsListen = "localhost:0"
	wantFindings(t, h.checkPorts(t.Context()), "ok port: TCP 127.0.0.1:0", "ok port: UDP 127.0.0.1:0", "ok port: TCP localhost:0")
}

func TestCheckPublicURL(t *testing.T) {
	tests := []struct{ name, url, listen, cert, want string }{
		{"https and its port", "https://video.example", ":443", "c", "ok public_url: https://video.example leads to :443"},
		{"another port", "https://video.example:8443", "192.0.2.1:8443", "c", "ok public_url:"},
		{"ports differ", "https://video.example", ":8443", "c", "warn public_url: browsers go to port 443, the server listens on 8443"},
		{"no certificate", "http://localhost:8443", "127.0.0.1:8443", "", "warn public_url: without a certificate only this machine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := checked(t)
			h.cfg.PublicURL, h.cfg.Listen, h.cfg.TLS.CertFile = tt.url, tt.listen, tt.cert
			wantFindings(t, h.checkPublicURL(t.Context()), tt.want)
		})
	}
}

func TestCompareAddresses(t *testing.T) {
	tests := []struct{ name, configured, automatic, want string }{
		{"public and found", "", "203.0.113.7 10.0.0.4", "ok addresses: clients send media to 203.0.113.7, 10.0.0.4"},
		{"private only", "", "10.0.0.4", "warn addresses: clients send media to 10.0.0.4: private"},
		{"loopback only", "", "127.0.0.1", "warn addresses: media can only be reached from this machine"},
		{"configured, its own", "10.0.0.4", "10.0.0.4", "ok addresses: clients send media to 10.0.0.4"},
		{"configured, the router's", "198.51.100.1", "10.0.0.4", "warn addresses: 198.51.100.1 is not an address of this machine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := addresses(tt.automatic)
			wantFindings(t, []finding{compared(tt.configured, found)}, tt.want)
		})
	}
}

func compared(configured string, found []netip.Addr) finding {
	if configured == "" {
		return compareAddresses(false, found, found)
	}
	return compareAddresses(true, addresses(configured), found)
}

// Chromium was seen to refuse the first two (TestPaths with port 443).
func TestJudgeAddressPorts(t *testing.T) {
	for _, tt := range []struct {
		at     string
		refuse bool
	}{
		{"10.89.1.1:443", true}, {"192.168.0.1:80", true}, {"[fd00::1]:443", true}, {"203.0.113.7:1023", true}, {"10.0.0.1:53", true},
		{"203.0.113.7:443", false}, {"203.0.113.7:80", false}, {"10.0.0.1:1024", false}, {"10.0.0.1:8443", false}, {"127.0.0.1:443", false}, {"[2001:db8::1]:443", false},
	} {
		got := judgeAddressPorts([]netip.AddrPort{netip.MustParseAddrPort(tt.at)})
		if refused := len(got) == 1 && got[0].Status == statusFail; refused != tt.refuse || len(got) > 1 {
			t.Errorf("%s: %v, want refused: %t", tt.at, got, tt.refuse)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	tests := []struct {
		name   string
		mode   os.FileMode
		secret bool
		want   string
	}{
		{"private", 0o600, true, "ok files: "},
		{"for the server's group", 0o640, true, "ok files: "},
		{"a secret for everybody", 0o644, true, "FAIL files: "},
		{"no secret", 0o644, false, "ok files: "},
		{"writable by the group", 0o664, false, "FAIL files: "},
		{"writable by everybody", 0o602, true, "FAIL files: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := checked(t)
			h.configFile = filepath.Join(t.TempDir(), "bedside.yaml")
			if tt.secret {
				h.cfg.Signaling.TokenKey = config.NewSecret("x")
			}
			write(t, h.configFile, tt.mode)
			wantFindings(t, h.checkFiles(t.Context()), tt.want+h.configFile)
		})
	}
	t.Run("missing", func(t *testing.T) {
		h := checked(t)
		h.cfg.TLS = config.TLS{CertFile: "/nowhere/c", KeyFile: "/nowhere/k"}
		wantFindings(t, h.checkFiles(t.Context()), "FAIL files: /nowhere/k: no such file", "FAIL files: /nowhere/c: no such file")
	})
}

// write makes a file with exactly this mode, whatever the umask.
func write(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func TestCheckKeysOfTheServer(t *testing.T) {
	tests := []struct {
		name string
		mode os.FileMode
		uid  int // added to this process's
		want string
	}{
		{"private", 0o600, 0, "ok files: "},
		{"for a group", 0o640, 0, "FAIL files: "},
		{"for everybody", 0o604, 0, "FAIL files: "},
		{"somebody else's", 0o600, 1, "FAIL files: "},
		{"seen by root", 0o600, -os.Getuid(), "warn files: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := checked(t)
			name := filepath.Join(h.cfg.DataDir, "keys", "token")
			write(t, name, tt.mode)
			if h.uid += tt.uid; tt.name == "seen by root" && os.Getuid() == 0 {
				if err := os.Chown(name, 1, 1); err != nil {
					t.Skip("SKIPPED: this user may not give files away")
				}
			}
			wantFindings(t, h.checkFiles(t.Context()), tt.want+name)
		})
	}
}

func TestCheckClock(t *testing.T) {
	now := time.Date(2100, 11, 22, 8, 0, 0, 0, time.UTC) // later than the directories that the test makes
	tests := []struct {
		name        string
		built, file time.Time
		want        string
	}{
		{"older than the program", now.Add(time.Second), now, "FAIL clock: says 2100-11-22T08:00:00Z, and this program was made on 2100-11-22T08:00:01Z"},
		{"has gone back", time.Time{}, now.Add(time.Hour), "FAIL clock: is 1h0m0s behind "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := checked(t)
			h.clock, h.build.Time = func() time.Time { return now }, tt.built
			name := filepath.Join(h.cfg.DataDir, "state", "x")
			write(t, name, 0o600)
			if err := os.Chtimes(name, tt.file, tt.file); err != nil {
				t.Fatal(err)
			}
			wantFindings(t, h.checkClock(t.Context()), tt.want)
		})
	}
	t.Run("plausible", func(t *testing.T) {
		h := checked(t)
		h.build.Time = h.clock().Add(-time.Hour)
		if got := h.checkClock(t.Context()); len(got) != 1 || got[0].Status == statusFail {
			t.Errorf("found %s", judged(got...))
		}
	})
}

func TestCheckData(t *testing.T) {
	t.Run("ready", func(t *testing.T) {
		h := checked(t)
		wantFindings(t, h.checkData(t.Context())[:2], "ok data_dir: "+h.cfg.DataDir+": 0700", "ok data_dir: 50 % of the disk is free (50.0 GB)")
		if left, err := os.ReadDir(h.cfg.DataDir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
	t.Run("open to others", func(t *testing.T) {
		h := checked(t)
		if err := os.Chmod(h.cfg.DataDir, 0o755); err != nil {
			t.Fatal(err)
		}
		wantFindings(t, h.checkData(t.Context())[:1], "FAIL data_dir: "+h.cfg.DataDir+" is open to other users (0755)")
	})
	t.Run("first start", func(t *testing.T) {
		h := checked(t)
		h.cfg.DataDir = filepath.Join(t.TempDir(), "new")
		wantFindings(t, h.checkData(t.Context()), "warn data_dir: "+h.cfg.DataDir+" does not exist yet")
	})
	t.Run("nowhere", func(t *testing.T) {
		h := checked(t)
		h.cfg.DataDir = filepath.Join(t.TempDir(), "a", "b")
		wantFindings(t, h.checkData(t.Context()), "FAIL data_dir: "+h.cfg.DataDir+" does not exist, nor does")
	})
	t.Run("a file", func(t *testing.T) {
		h := checked(t)
		h.cfg.DataDir = filepath.Join(t.TempDir(), "file")
		write(t, h.cfg.DataDir, 0o600)
		wantFindings(t, h.checkData(t.Context()), "ok data_dir: ", "FAIL data_dir: "+h.cfg.DataDir+" cannot be written to")
	})
}

func TestJudge(t *testing.T) {
	all := func(d time.Duration, n int, last time.Duration) []time.Duration {
		list := make([]time.Duration, n)
		for i := range list {
			list[i] = d
		}
		list[0] = last
		return list
	}
	const disk = 100e9
	tests := []struct {
		name string
		got  finding
		want string
	}{
		{"half free", judgeSpace(disk/2, disk, 10), "ok data_dir: 50 % of the disk is free (50.0 GB)"},
		{"little free", judgeSpace(disk/16, disk, 2), "warn data_dir: 6 % of the disk is free (6.2 GB); below 2 % the audit log refuses"},
		{"too little free", judgeSpace(disk/20, disk, 10), "FAIL data_dir: 5 % of the disk is free (5.0 GB), and audit.min_free_percent is 10"},
		{"no bound", judgeSpace(disk/8, disk, 0), "ok data_dir: 12 %"},
		{"fast disk", judgeFsync(all(time.Millisecond, 50, 10*time.Millisecond)), "ok data_dir: fsync takes 1ms, at worst 10ms"},
		{"slow disk", judgeFsync(all(time.Millisecond, 50, 11*time.Millisecond)), "warn data_dir: fsync takes 1ms, at worst 11ms"},
		{"enough files", judgeFiles(5024, 4000), "ok limits: 5024 open files for 4000 sessions"},
		{"too few files", judgeFiles(5023, 4000), "warn limits: 5023 open files here, and 4000 sessions need 5024"},
		{"large buffer", judgeBuffer("net.core.rmem_max", 2<<20), "ok limits: net.core.rmem_max is 2097152"},
		{"GSO works", judgeGSO("auto", func() (bool, string) { return true, "" }), "ok gso: the kernel cuts bursts into datagrams"},
		{"GSO does not work", judgeGSO("auto", func() (bool, string) { return false, "too old" }), "warn gso: not used: too old"},
		{"GSO off", judgeGSO("off", nil), "ok gso: off, as media.gso says: each datagram goes through the network alone"},
		{"small buffer", judgeBuffer("net.core.rmem_max", 212992), "warn limits: net.core.rmem_max is 212992"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantFindings(t, []finding{tt.got}, tt.want) })
	}
}

func TestCheckLimitsReadsTheKernel(t *testing.T) {
	h := checked(t)
	for name, value := range map[string]string{"rmem_max": "212992\n", "wmem_max": "4194304\n"} {
		file := filepath.Join(h.proc, "sys/net/core", name)
		write(t, file, 0o600)
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found := h.checkLimits(t.Context())
	wantFindings(t, found[len(found)-2:], "warn limits: net.core.rmem_max is 212992", "ok limits: net.core.wmem_max is 4194304")
}

func TestFirewallRules(t *testing.T) {
	cfg := config.Default()
	cfg.Listen, cfg.Media.Advertise, cfg.MetricsListen = ":443", []string{"203.0.113.7"}, "10.0.0.4:9443"
	var b strings.Builder
	printFirewall(&b, firewallRules(cfg), "443")
	golden(t, "testdata/firewall.txt", b.String())
	cfg.MetricsListen = "127.0.0.1:9443"
	if rules := firewallRules(cfg); len(rules) != 3 {
		t.Errorf("%d rules, want 3: nobody outside needs the metrics on loopback", len(rules))
	}
}

// golden compares a text with a file, which -update writes.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCheckPrints(t *testing.T) {
	r := result{port: "443",
		Build: build{Version: "v1.2.3"}, Config: "/etc/bedside/bedside.yaml",
		Findings: []finding{ok("configuration", "no errors"), warn("clock", "no NTP client keeps it right", "install chrony"),
			fail("data_dir", "is full", "make room")},
	}
	var b strings.Builder
	if err := r.print(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/check.txt", b.String())
}

func TestCheckExitCodes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const local = "listen: 127.0.0.1:0\npublic_url: http://localhost:8443\nmetrics_listen: ''\n"
	fine := write("fine.yaml", local+"data_dir: "+filepath.Join(dir, "data")+"\n")
	failing := write("failing.yaml", local+"data_dir: /nowhere/at/all\n")
	wrong := write("wrong.yaml", "listen: 8443\ndata_dri: /x\n")
	tests := []struct {
		name string
		args []string
		code int
		out  string
		errs string
	}{
		{"warnings only", []string{"--config", fine}, 0, "warn  public_url", ""},
		{"a failure", []string{"--config", failing}, 1, "FAIL  data_dir", "1 of "},
		{"wrong configuration", []string{"--config", wrong}, 2, "", "data_dri: unknown key; did you mean data_dir?"},
		{"every mistake at once", []string{"--config", wrong}, 2, "", "listen: must be [host]:port"},
		{"no such file", []string{"--config", filepath.Join(dir, "none.yaml")}, 2, "", "read the configuration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(context.Background(), testWorld(&out, &errs), append([]string{"check"}, tt.args...))
			if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errs.String(), tt.errs) {
				t.Errorf("exit code %d, want %d; printed\n%s\n%s", code, tt.code, out.String(), errs.String())
			}
		})
	}
	t.Run("as JSON", func(t *testing.T) {
		var out, errs bytes.Buffer
		if code := run(context.Background(), testWorld(&out, &errs), []string{"check", "--config", failing, "--json", "--report"}); code != 1 {
			t.Errorf("exit code %d, want 1: %s", code, errs.String())
		}
		var r result
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) == 0 || len(r.Firewall) != 3 || r.Report == nil || r.Config != failing {
			t.Errorf("got %+v", r)
		}
	})
}

// Whoever gets a report must not get a secret with it.
func TestReportHidesSecrets(t *testing.T) {
	const canary = "canary-5d20"
	cfg := config.Default()
	cfg.Signaling.TokenKey, cfg.Signaling.InvitationSecret = config.NewSecret(canary), config.NewSecret(canary)
	cfg.Signaling.APIKeys = []config.APIKey{{ID: "scheduler-1", Tenant: "north", Scopes: []string{"audit"}, Hash: canary}}
	var b, errs bytes.Buffer
	r := result{Report: newReport(cfg)}
	for _, asJSON := range []bool{false, true} {
		if err := r.show(testWorld(&b, &errs), asJSON); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(b.String(), canary) {
		t.Errorf("shows a secret:\n%s", b.String())
	}
	if n := strings.Count(b.String(), "scheduler-1"); n != 4 {
		t.Errorf("names the API key %d times, want 4:\n%s", n, b.String())
	}
}
