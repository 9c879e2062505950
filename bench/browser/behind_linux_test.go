package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/bedside-video/bedside/bench/linkem"
	"github.com/bedside-video/bedside/bench/linkem/link"
)

// realTime is the prefix of a command that is to run before all others, nil where that is not allowed. On
// a machine without time a link is late, which all that measures delay takes for a queue. So the link, which
// needs 1 % of a processor, is a process of its own with the lowest real-time priority that beats everybody.
var realTime = sync.OnceValue(func() []string {
	prefix := []string{"chrt", "-f", "20"}
	if exec.Command(prefix[0], append(prefix[1:], "true")...).Run() != nil {
		return nil
	}
	return prefix
})

// emulated is a link that a network namespace is behind, in a process of its own.
type emulated struct {
	t *testing.T
	linkem.Place
	process *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
	began   time.Time
}

// emulate opens a link, the same in either direction, for one test. With join the namespace is that of
// another link, which then has both. The link's number is the first from that one on that no other run of these tests
// has, or had when it was killed: it is part of an address.
func emulate(t *testing.T, shape string, number uint8, join string) *emulated {
	t.Helper()
	const numbers = 150
	var e *emulated
	for try := range numbers {
		n := 100 + (int(number)+os.Getpid()+try)%numbers
		if e = startLink(t, linkem.TunnelConfig{Number: uint8(n), Seed: 1, Namespace: join}); e != nil {
			break
		}
	}
	if e == nil {
		t.Fatalf("%d numbers of links are taken", numbers)
	}
	e.set(shape)
	return e
}

// startLink starts the process of a link for one test, nil if its number is taken.
func startLink(t *testing.T, config linkem.TunnelConfig) *emulated {
	t.Helper()
	cfg, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := append(realTime()[:len(realTime()):len(realTime())], self)
	e := &emulated{t: t, process: exec.Command(command[0], command[1:]...), began: time.Now()}
	e.process.Env = append(os.Environ(), linkEnv+"="+string(cfg), "GOMAXPROCS=1")
	e.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt ends the test, and that the link
	var complaint safeBuffer
	e.process.Stderr = &complaint
	if e.in, err = e.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := e.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.process.Start(); err != nil {
		t.Fatal(err)
	}
	e.answers = json.NewDecoder(out)
	if err := e.answers.Decode(&e.Place); err != nil {
		_ = e.process.Wait()
		switch said := complaint.String(); {
		case strings.Contains(said, "File exists"), strings.Contains(said, "resource busy"):
			return nil
		case strings.Contains(said, linkem.ErrUnavailable.Error()):
			t.Skip("an emulated link needs Linux, root and /dev/net/tun: ", said)
		default:
			t.Fatalf("emulated link: %v: %s", err, said)
		}
	}
	t.Cleanup(func() {
		_ = e.in.Close()
		if err := e.process.Wait(); err != nil {
			t.Errorf("emulated link: %v: %s", err, complaint.String())
		}
		busy := e.process.ProcessState.UserTime() + e.process.ProcessState.SystemTime()
		// At real-time priority nobody could stop one that spins.
		if took := time.Since(e.began); busy > took/4+time.Second {
			t.Errorf("the link ran for %v of %v", busy, took)
		}
	})
	return e
}

// tell sends a line to the link's process and returns its answer.
func (e *emulated) tell(line string) (a linkem.Account) {
	e.t.Helper()
	if _, err := io.WriteString(e.in, line+"\n"); err != nil {
		e.t.Fatal("emulated link: ", err)
	}
	if err := e.answers.Decode(&a); err != nil {
		e.t.Fatal("emulated link: ", err)
	}
	if a.Error != "" {
		e.t.Fatalf("emulated link: %s: %s", line, a.Error)
	}
	return a
}

// set changes the link in both directions.
func (e *emulated) set(shape string) {
	e.t.Helper()
	e.tell("both " + shape)
}

// late is how late the link was since it was last asked for anything.
func (e *emulated) late() linkem.Lateness {
	e.t.Helper()
	return e.tell("report").Late
}

// chromium is a browser behind the link.
func (e *emulated) chromium(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	return newChromium(t, append(more, chromedp.ModifyCmdFunc(func(c *exec.Cmd) {
		inside := exec.Command("ip", append([]string{"netns", "exec", e.Namespace, c.Path}, c.Args[1:]...)...)
		c.Path, c.Args = inside.Path, inside.Args
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}))...)
}

// demoBehind starts a server that names two addresses: this machine's own, and the one at the end of the link.
func demoBehind(t *testing.T, e *emulated, flags ...string) *server {
	t.Helper()
	return startServer(t, append([]string{"--advertise", net.IPv4(127, 0, 0, 1).String(), "--advertise", e.Server.String()}, flags...)...)
}

// origin is where a server's pages are, seen from behind the link.
func (e *emulated) origin(s *server) string {
	_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	return fmt.Sprintf("https://%s:%s", e.Server, port)
}

// consultationBehind is a consultation of two whose pages are open in a browser behind the link.
func consultationBehind(t *testing.T, e *emulated, name string) *consultation {
	t.Helper()
	s := demoBehind(t, e)
	browser := e.chromium(t)
	c := &consultation{t: t, server: s, names: map[string]string{}}
	c.people = s.open(name, "VP8", func(role string) string { return role }, clinician, patient)
	for i, p := range c.people {
		c.names[p.ID] = p.Role
		c.people[i].JoinURL = e.origin(s) + "/j/#" + p.invitation()
	}
	c.server.lan = ""
	c.newTab = func(name string) *tab { return newTab(t, t, browser, name, scriptFor(t, name, c.names, false)) }
	return c
}

// punctual says whether a link and the test's own timers were on time.
type punctual struct{ link, machine linkem.Lateness }

// What a run may be late by: a link that is later has added to the delay of packets what nobody asked it
// to, and a machine whose timers are later had no time for browsers and server, either.
const (
	latestLink    = link.Milliseconds(5 * time.Millisecond)
	latestMachine = link.Milliseconds(15 * time.Millisecond)
)

func (p punctual) valid() bool { return p.link.P99 <= latestLink && p.machine.P99 <= latestMachine }

func (p punctual) String() string {
	verdict := "valid"
	if !p.valid() {
		verdict = "INVALID"
	}
	return fmt.Sprintf("%s: link %.1f ms late (p99; %.1f most), machine %.1f (%.1f)", verdict,
		p.link.P99.Float(), p.link.Max.Float(), p.machine.P99.Float(), p.machine.Max.Float())
}
