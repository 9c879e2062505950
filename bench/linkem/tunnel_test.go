package linkem_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem"
	"github.com/bedside-video/bedside/bench/linkem/link"
)

// openTunnel opens one with a number far from what a person who measures something by hand takes, and another for
// another process; that of a run that was killed is still taken.
func openTunnel(t *testing.T, up, down string) *linkem.Tunnel {
	t.Helper()
	return openNumbered(t, 100, linkem.TunnelConfig{Up: parse(t, up), Down: parse(t, down), Seed: 1})
}

// openNumbered takes one of the hundred numbers from first on.
func openNumbered(t *testing.T, first int, cfg linkem.TunnelConfig) *linkem.Tunnel {
	t.Helper()
	for try := range 100 {
		cfg.Number = uint8(first + (os.Getpid()+try)%100)
		tunnel, err := linkem.OpenTunnel(t.Context(), cfg)
		switch {
		case err == nil:
			return tunnel
		case errors.Is(err, linkem.ErrUnavailable):
			t.Skip("a tunnel needs Linux, root and /dev/net/tun: ", err)
		case !strings.Contains(err.Error(), "File exists"):
			t.Fatal(err)
		}
	}
	t.Fatal("a hundred numbers are taken")
	return nil
}

// TestMain lets the test binary be the client that runs in the namespace.
func TestMain(m *testing.M) {
	if server := os.Getenv("LINKEM_CLIENT_OF"); server != "" {
		client := beClient
		if os.Getenv("LINKEM_BURST") != "" {
			client = beBurst
		}
		if err := client(server); err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const clientPackets = 50

// beClient sends packets one after the other, each when the last has come back, and prints the times.
func beClient(server string) error {
	conn, err := net.Dial("udp4", server)
	if err != nil {
		return err
	}
	buf := make([]byte, 1000)
	for range clientPackets {
		sent := time.Now()
		if err := conn.SetDeadline(sent.Add(time.Minute)); err != nil {
			return err
		}
		if _, err := conn.Write(buf[:972]); err != nil { // 1000 bytes with the headers of IP and UDP
			return err
		}
		if _, err := conn.Read(buf); err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(time.Since(sent).String() + "\n"); err != nil {
			return err
		}
	}
	return conn.Close()
}

// burstPackets fit in the device's queue, so that none is lost before the link.
const burstPackets = 400

// beBurst sends packets as fast as it can.
func beBurst(server string) error {
	conn, err := net.Dial("udp4", server)
	if err != nil {
		return err
	}
	for range burstPackets {
		if _, err := conn.Write(make([]byte, 972)); err != nil {
			return err
		}
	}
	return conn.Close()
}

// survivors is how many of n packets pushed at once come through a link, in virtual time.
func survivors(t *testing.T, shape string, n, size int) (out int) {
	t.Helper()
	now := time.Unix(1000, 0)
	l, err := link.New(now, parse(t, shape), 1)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		l.Push(now, link.Packet{Data: make([]byte, size)})
	}
	for next, ok := l.Next(); ok; next, ok = l.Next() {
		for _, came := l.Pop(next); came; _, came = l.Pop(next) {
			out++
		}
	}
	return out
}

// TestTunnelRateAndLoss sends much at once: the rate is measured, and lost is exactly what the same
// link loses in virtual time, whenever the packets came.
func TestTunnelRateAndLoss(t *testing.T) {
	const shape = "rate=4mbit,queue=5s,loss=5%,burst=4"
	tunnel := openTunnel(t, shape, "")
	t.Cleanup(func() {
		if err := tunnel.Close(); err != nil {
			t.Error(err)
		}
	})
	server, err := net.ListenPacket("udp4", tunnel.Server.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	want := survivors(t, shape, burstPackets, 1000)

	cmd := tunnel.Command(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "LINKEM_BURST=1", "LINKEM_CLIENT_OF="+server.LocalAddr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := server.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	var first, last time.Time
	for i := range want {
		if _, _, err := server.ReadFrom(buf); err != nil {
			t.Fatalf("after %d of %d packets: %v: %+v", i, want, err, tunnel.Report())
		}
		if last = time.Now(); i == 0 {
			first = last
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	tunnel.Drain(t.Context())
	c := tunnel.Report().Up
	if c.In != burstPackets || c.Out != uint64(want) || c.Lost != uint64(burstPackets-want) {
		t.Errorf("counted %+v, want %d in and %d out", c, burstPackets, want)
	}
	// What was lost took its time, too.
	t.Logf("figure: tunnel of 4 Mbit/s, %d packets at once, %d lost: %.3f Mbit/s through the bottleneck",
		burstPackets, c.Lost, float64(burstPackets-1)*8000/1e6/last.Sub(first).Seconds())
}

func TestTunnel(t *testing.T) {
	tunnel := openTunnel(t, "loss=100%", "loss=100%")
	t.Cleanup(func() {
		if err := tunnel.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := tunnel.Set(parse(t, "rate=1mbit,delay=10ms"), parse(t, "delay=5ms")); err != nil { // 1000 bytes last 8 ms
		t.Fatal(err)
	}
	server, err := net.ListenPacket("udp4", tunnel.Server.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	go runEcho(server)

	cmd := tunnel.Command(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "LINKEM_CLIENT_OF="+server.LocalAddr().String())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("client: %v: %s", err, stderr.Bytes())
	}
	tunnel.Drain(t.Context())
	r := tunnel.Report()

	var trips []time.Duration
	for line := range strings.FieldsSeq(stdout.String()) {
		d, err := time.ParseDuration(line)
		if err != nil {
			t.Fatal(err)
		}
		trips = append(trips, d)
	}
	slices.Sort(trips)
	if len(trips) != clientPackets || trips[0] < 23*ms {
		t.Fatalf("round trips %v; want %d of at least 8 + 10 + 5 ms", trips, clientPackets)
	}
	t.Logf("figure: tunnel of 10 + 5 ms, 8 ms to send: round trip median %v, longest %v", trips[clientPackets/2], trips[clientPackets-1])
	if r.Up.In != clientPackets || r.Up.Out != clientPackets || r.Up.InBytes != clientPackets*1000 {
		t.Errorf("up %+v, want %d packets of 1000 bytes", r.Up, clientPackets)
	}
	// Others on this machine may speak into a device of it: a browser that starts joins groups on all.
	if r.Down.Out < clientPackets || r.Down.Lost+r.Down.Dropped > 0 {
		t.Errorf("down %+v, want %d packets and none lost", r.Down, clientPackets)
	}
}

func TestTunnelLeavesNothingBehind(t *testing.T) {
	for range 2 { // the second finds name, devices and addresses free
		tunnel := openTunnel(t, "", "")
		if _, err := linkem.OpenTunnel(t.Context(), linkem.TunnelConfig{Number: tunnel.Server.As4()[2]}); err == nil || !strings.Contains(err.Error(), "File exists") {
			t.Errorf("two tunnels of one number: %v", err)
		}
		if err := tunnel.Set(parse(t, "delay=1ms"), link.Shape{Loss: 2}); err == nil {
			t.Error("took a loss of 200 %")
		}
		if err := tunnel.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat("/run/netns/" + tunnel.Namespace); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the namespace is still there: %v", err)
		}
	}
}
