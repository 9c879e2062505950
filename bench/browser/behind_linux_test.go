package browser_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/bench/linkem"
	"github.com/bedside-video/bedside/bench/linkem/link"
)

const behindEnv = "BEDSIDE_BEHIND" // what a test behind a link has to know

// behind is what the test behind the link has to know.
type behind struct {
	Origin  string
	People  []invited
	Verdict string // of the check of the connection, wanted
	Voices  bool
}

// openTunnel opens a tunnel with the same link in either direction, for one test.
func openTunnel(t *testing.T, text string, number uint8) *linkem.Tunnel {
	t.Helper()
	shape, err := link.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := linkem.OpenTunnel(t.Context(), linkem.TunnelConfig{Number: number + uint8(os.Getpid()%10)*5, Up: shape, Down: shape, Seed: 1})
	if errors.Is(err, linkem.ErrUnavailable) {
		t.Skip("a tunnel needs Linux, root and /dev/net/tun: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tunnel.Close() })
	return tunnel
}

// originBehind is where a server's pages are, seen from behind a tunnel.
func originBehind(s *server, tunnel *linkem.Tunnel) string {
	_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	return fmt.Sprintf("https://%s:%s", tunnel.Server, port)
}

// runInside runs a test of this package behind the tunnel. Where it says "hole", hole is called with what
// it reads.
func runInside(t *testing.T, tunnel *linkem.Tunnel, test string, b behind, hole func(io.Writer)) {
	t.Helper()
	what, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inside := tunnel.Command(t.Context(), self, "-test.run=^"+test+"$", "-test.v")
	inside.Env = append(os.Environ(), behindEnv+"="+string(what))
	out, err := inside.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := inside.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := inside.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if line := lines.Text(); line == "hole" {
			hole(in)
		} else {
			t.Log(line)
		}
	}
	if err := inside.Wait(); err != nil {
		t.Error("behind the link: ", err)
	}
}

// fromOutside is what runInside handed over, if it did.
func fromOutside(t *testing.T) (b behind, inside bool) {
	t.Helper()
	text := os.Getenv(behindEnv)
	if text == "" {
		return b, false
	}
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	return b, true
}
