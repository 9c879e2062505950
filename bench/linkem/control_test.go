package linkem_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/bench/linkem"
)

// control runs Control over some lines, and returns what it answers.
func control(t *testing.T, tunnel *linkem.Tunnel, lines string) (at linkem.Place, accounts []linkem.Account) {
	t.Helper()
	var out bytes.Buffer
	if err := linkem.Control(tunnel, strings.NewReader(lines), &out); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(&out)
	if err := answers.Decode(&at); err != nil {
		t.Fatal(err)
	}
	for {
		var a linkem.Account
		err := answers.Decode(&a)
		if errors.Is(err, io.EOF) {
			return at, accounts
		}
		if err != nil {
			t.Fatal(err)
		}
		accounts = append(accounts, a)
	}
}

// ping sends packets from the tunnel's namespace and tells whether all came back.
func ping(t *testing.T, tunnel *linkem.Tunnel, args ...string) bool {
	t.Helper()
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("no ping: ", err)
	}
	return tunnel.Command(t.Context(), "ping", append([]string{"-q", "-i", "0.05", "-W", "1"}, args...)...).Run() == nil
}

func TestControl(t *testing.T) {
	tunnel := openTunnel(t, "", "")
	defer func() { _ = tunnel.Close() }()
	at, accounts := control(t, tunnel, "report\nboth delay=30ms\nup speed=1\nsideways\nup loss=100%\ndown\n")
	if at.Namespace != tunnel.Namespace || at.Server != tunnel.Server || at.Client != tunnel.Client {
		t.Errorf("it is at %+v", at)
	}
	want := []string{"", "", `"speed=1": unknown setting`, "want both, up, down or report", "", ""}
	if len(accounts) != len(want) {
		t.Fatalf("%d answers to %d lines", len(accounts), len(want))
	}
	for i, a := range accounts {
		if (a.Error == "") != (want[i] == "") || !strings.Contains(a.Error, want[i]) {
			t.Errorf("line %d: %q, want %q", i+1, a.Error, want[i])
		}
	}
	if ping(t, tunnel, "-c", "1", tunnel.Server.String()) {
		t.Error("a link that loses everything was crossed")
	}
	tunnel.Late()
	_, _ = control(t, tunnel, "both delay=10ms\n")
	if !ping(t, tunnel, "-c", "10", tunnel.Server.String()) {
		t.Error("nothing comes back")
	}
	_, accounts = control(t, tunnel, "report\n")
	if a := accounts[0]; a.Late.Looked < 20 || a.Up.Out < 10 || a.Down.Out < 10 {
		t.Errorf("%+v", a)
	}
}

// Two tunnels from one namespace: who speaks to the end of one uses that one alone, either way.
func TestTwoTunnelsOfOneNamespace(t *testing.T) {
	first := openTunnel(t, "delay=5ms", "")
	defer func() { _ = first.Close() }()
	second := openNumbered(t, 0, linkem.TunnelConfig{Up: parse(t, "delay=1ms"), Namespace: first.Namespace})
	defer func() { _ = second.Close() }()
	for _, tunnel := range []*linkem.Tunnel{first, second} {
		if !ping(t, tunnel, "-c", "5", tunnel.Server.String()) {
			t.Errorf("nothing comes back from %v", tunnel.Server)
		}
	}
	const pings = 20
	before := first.Report().Down.In
	if ping(t, second, "-c", strconv.Itoa(pings), "-I", first.Client.String(), second.Server.String()) {
		t.Error("sent by one and answered by the other")
	}
	// Others on this machine may speak into a device of it now and then: a browser that starts joins groups on all.
	if got := first.Report().Down.In - before; got >= pings {
		t.Errorf("%d packets came back by the wrong link", got)
	}
}
