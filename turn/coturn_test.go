package turn_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/turn"
	"github.com/bedside-video/bedside/turn/policy"
)

// mirror is a Host whose peers send everything back: the media server's place, behind the same seam.
type mirror struct{ at netip.Addr }

type mirrorLine struct {
	at      netip.AddrPort
	receive func([]byte, int) bool
}

// Open implements turn.Host.
func (m mirror) Open(_ bool, receive func([]byte, int) bool) (turn.Line, error) {
	return &mirrorLine{at: netip.AddrPortFrom(m.at, 50000), receive: receive}, nil
}

func (l *mirrorLine) Address() netip.AddrPort { return l.at }
func (l *mirrorLine) Send(b []byte, peer int) { l.receive(b, peer) }
func (l *mirrorLine) Close()                  {}

// tool finds one of coturn's programs (apt-get install coturn).
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install --no-install-recommends coturn", name)
	}
	return path
}

// load is what turnutils_uclient is to do.
type load struct {
	way              string // UDP, TCP, TLS
	server           netip.AddrPort
	peer             netip.AddrPort
	clients, packets int // packets of each
	size             int
	username, pass   string
}

// outcome is what it says that it has done.
type outcome struct{ sent, received int }

// run plays the load with coturn's own client, a packet each millisecond and client.
func (l load) run(t testing.TB, uclient string) outcome {
	t.Helper()
	flags := map[string][]string{"UDP": nil, "TCP": {"-t"}, "TLS": {"-t", "-S"}}[l.way]
	args := append(flags, "-c", "-p", strconv.Itoa(int(l.server.Port())), "-u", l.username, "-w", l.pass,
		"-e", l.peer.Addr().String(), "-r", strconv.Itoa(int(l.peer.Port())),
		"-n", strconv.Itoa(l.packets), "-m", strconv.Itoa(l.clients), "-l", strconv.Itoa(l.size), "-z", "1", l.server.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, uclient, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("turnutils_uclient: %v\n%s", err, out)
	}
	number := func(what string) int {
		all := regexp.MustCompile(what+`=(\d+)`).FindAllStringSubmatch(string(out), -1)
		if all == nil {
			t.Fatalf("turnutils_uclient does not tell %s:\n%s", what, out)
		}
		n, _ := strconv.Atoi(all[len(all)-1][1])
		return n
	}
	return outcome{sent: number("tot_send_msgs"), received: number("tot_recv_msgs")}
}

// roomy are limits for many clients with one credential.
func roomy() turn.Limits {
	return turn.Limits{Limits: policy.Limits{PerCredential: 100, PerOwner: 100, PerSource: 100, Total: 100}, Bitrate: 1e9, Connections: 200}
}

// Coturn's client relays by every transport, and nothing is lost.
func TestTurnutils(t *testing.T) {
	uclient := tool(t, "turnutils_uclient")
	for _, way := range []string{"UDP", "TCP", "TLS"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel() // the client waits for seconds
			s := serveHost(t, roomy(), func(at netip.AddrPort) turn.Host { return mirror{at.Addr()} })
			c, err := s.credentials.Issue("session")
			if err != nil {
				t.Fatal(err)
			}
			l := load{way: way, server: s.address(way), peer: s.udp, clients: 4, packets: 50, size: 1000, username: c.Username, pass: c.Password}
			if got := l.run(t, uclient); got.sent != 200 || got.received != 200 {
				t.Errorf("sent %d, received %d, want 200 of each", got.sent, got.received)
			}
		})
	}
}

// address is where a transport is served.
func (s *server) address(way string) netip.AddrPort {
	switch way {
	case "TCP":
		return s.tcp.Addr().(*net.TCPAddr).AddrPort()
	case "TLS":
		return s.tls.Addr().(*net.TCPAddr).AddrPort()
	}
	return s.udp
}

// The price of a relayed packet: this process, whose peers are behind the seam, and coturn's, whose peer
// is coturn's own echo. The same client plays the same load, one after the other.
func BenchmarkBesideCoturn(b *testing.B) {
	uclient := tool(b, "turnutils_uclient")
	for _, way := range []string{"UDP", "TCP", "TLS"} {
		l := load{way: way, clients: 24, packets: 4000, size: 1000}
		b.Run(way+"/bedside", func(b *testing.B) {
			s := serveHost(b, roomy(), func(at netip.AddrPort) turn.Host { return mirror{at.Addr()} })
			c, err := s.credentials.Issue("session")
			if err != nil {
				b.Fatal(err)
			}
			l.server, l.peer, l.username, l.pass = s.address(way), s.udp, c.Username, c.Password
			l.measure(b, uclient, os.Getpid())
		})
		b.Run(way+"/coturn", func(b *testing.B) {
			peer, process := coturn(b, &l)
			l.peer = peer
			l.measure(b, uclient, process)
		})
	}
}

// measure plays the load and reports the CPU time that a process has used for each packet relayed.
func (l load) measure(b *testing.B, uclient string, process int) {
	for b.Loop() {
		before, at := cpuTime(b, process), time.Now()
		got := l.run(b, uclient)
		used, took := cpuTime(b, process)-before, time.Since(at)
		relayed := got.sent + got.received // there and back
		b.ReportMetric(float64(used.Nanoseconds())/1000/float64(relayed), "us/packet")
		b.ReportMetric(float64(got.sent-got.received), "lost")
		b.ReportMetric(float64(relayed)/took.Seconds(), "packets/s")
	}
}

// coturn starts Debian's relay and its echo, and returns where the echo is.
func coturn(b *testing.B, l *load) (netip.AddrPort, int) {
	b.Helper()
	l.server, l.username, l.pass = freePort(b), "bench", "bench"
	peer := freePort(b)
	launch(b, tool(b, "turnutils_peer"), "-L", peer.Addr().String(), "-p", strconv.Itoa(int(peer.Port())))
	files := certificateFiles(b)
	port := strconv.Itoa(int(l.server.Port()))
	process := launch(b, tool(b, "turnserver"), "-n", "--log-file=stdout", "--no-cli", "-L", "127.0.0.1", "-p", port, "--tls-listening-port="+port,
		"-a", "-u", "bench:bench", "-r", realm, "--allow-loopback-peers", "--cert="+files[0], "--pkey="+files[1],
		"--userdb="+filepath.Join(b.TempDir(), "db"), "--pidfile="+filepath.Join(b.TempDir(), "pid"))
	deadline := time.After(time.Minute)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		c, err := net.Dial("tcp", l.server.String())
		if err == nil {
			_ = c.Close()
			return peer, process
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.Fatalf("coturn does not listen: %v", err)
		}
	}
}

// launch runs a program until the benchmark ends.
func launch(b *testing.B, name string, args ...string) int {
	b.Helper()
	c := exec.Command(name, args...)
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c.Process.Pid
}

// freePort is one that nobody has, UDP and TCP.
func freePort(b *testing.B) netip.AddrPort {
	b.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// cpuTime is what the threads of a process have used, in user and system mode together (the kernel's
// Documentation/scheduler/sched-stats.rst: to the nanosecond, where proc(5) stat has ticks of 10 ms).
func cpuTime(t testing.TB, process int) (total time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", process))
	if err != nil || len(threads) == 0 {
		t.Skip("this system does not tell what a thread has used")
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		n, _ := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		total += time.Duration(n)
	}
	return total
}
