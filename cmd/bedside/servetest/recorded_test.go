package servetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/signaling/wire"
)

// callPatience is how long a test waits for what must come.
const callPatience = time.Minute

// call is three people in a consultation of a server that records into a directory.
type call struct {
	process *process
	dir     string
	records *age.HybridIdentity
	people  []*guest
	dropped uint64 // datagrams that the kernel had dropped when mark was called

	mu   sync.Mutex
	more chan struct{} // closed and replaced with every message about the recording
}

// guest is one of them.
type guest struct {
	client *bench.Client
	heard  []heard
}

// heard is what somebody was told of the recording, and when.
type heard struct {
	at time.Time
	wire.Recording
}

// newCall starts a server that records into dir, and three people who talk and see each other. more is YAML of
// the recording's configuration.
func newCall(t *testing.T, dir, more string) *call {
	t.Helper()
	c := &call{dir: dir, more: make(chan struct{})}
	var recipients []string
	for range 2 {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		c.records = id
		recipients = append(recipients, id.Recipient().String())
	}
	h := newHome(t)
	// The disk may be as full as it is.
	h.configure(t, fmt.Sprintf("media: {advertise: [127.0.0.1]}\nrecording: {enabled: true, dir: %q, min_free_percent: 0, recipients: [%s]%s}\n",
		dir, strings.Join(recipients, ", "), more))
	c.process = h.start(t)
	var opened consultation
	c.process.fetch(t, http.MethodPost, "/v1/consultations", json.RawMessage(
		`{"recording":"ask","participants":[{"role":"clinician"},{"role":"patient"},{"role":"interpreter"}]}`), &opened, http.StatusCreated)
	ctx, cancel := context.WithTimeout(t.Context(), callPatience)
	defer cancel()
	for i, p := range opened.Participants {
		g := &guest{}
		g.client = bench.New(bench.Config{
			BaseURL: c.process.url, Invitation: p.invitation(), HTTP: http.DefaultClient, Loopback: true, Stack: bench.Lean, Verify: true,
			Seed: uint64(i + 1), Media: bench.Media{Camera: bench.Camera(), Mic: bench.Microphone()},
			Observer: bench.Observer{Message: func(now time.Time, m wire.ServerMessage) { c.hear(g, now, m) }},
		})
		t.Cleanup(g.client.Close)
		c.people = append(c.people, g)
		if err := g.client.Join(ctx); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := c.people[0].client.Admit(ctx, p.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.client.Connected(ctx); err != nil {
			t.Fatal(err)
		}
	}
	c.record(t)
	return c
}

func (c *call) hear(g *guest, now time.Time, m wire.ServerMessage) {
	r, ok := m.(*wire.Recording)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g.heard = append(g.heard, heard{now, *r})
	close(c.more)
	c.more = make(chan struct{})
}

// record has the clinician ask, and the others agree.
func (c *call) record(t *testing.T) {
	t.Helper()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), callPatience)
	defer cancel()
	if _, err := c.people[0].client.Call(ctx, &wire.Record{Action: wire.RecordRequest}); err != nil {
		t.Fatal(err)
	}
	for _, g := range c.people[1:] {
		if _, err := g.client.Call(ctx, &wire.Consent{Recording: wire.ConsentGranted, Notice: g.client.View().Policy.Notice}); err != nil {
			t.Fatal(err)
		}
	}
	c.await(t, begun, wire.RecordingOn, "")
}

// await waits until everybody was told, after an instant, that the recording is in a state, and returns how long
// after it the last of them was.
func (c *call) await(t *testing.T, since time.Time, state wire.RecordingState, reason string) time.Duration {
	t.Helper()
	end := time.After(callPatience)
	for {
		c.mu.Lock()
		last, told := time.Time{}, 0
		for _, g := range c.people {
			for _, h := range g.heard {
				if h.at.After(since) && h.State == state && h.Reason == reason {
					told++
					last = later(last, h.at)
					break
				}
			}
		}
		more := c.more
		c.mu.Unlock()
		if told == len(c.people) {
			return last.Sub(since)
		}
		select {
		case <-more:
		case <-end:
			t.Fatalf("%d of %d were told that it is %s %s: %+v", told, len(c.people), state, reason, c.people[0].heard)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// pass lets the call go on for a while.
func pass(d time.Duration) { <-time.After(d) }

// mark begins to count what the call loses.
func (c *call) mark() {
	c.dropped = dropped()
	for _, g := range c.people {
		g.client.Mark()
	}
}

// checkUnhurt fails the test if anybody has missed a packet of anybody's sound or picture since mark, or if too
// little has come for that to mean anything.
func (c *call) checkUnhurt(t *testing.T, what string, lasted time.Duration) {
	t.Helper()
	var packets, lost, repaired uint64
	gaps := map[wire.Source]time.Duration{}
	for _, g := range c.people {
		r := g.client.Report()
		lost += r.Total(func(s bench.SlotReport) uint64 { return s.Lost })
		repaired += r.Total(func(s bench.SlotReport) uint64 { return s.Repaired })
		for _, other := range c.people {
			if other == g {
				continue
			}
			for _, source := range []wire.Source{wire.SourceMic, wire.SourceCamera} {
				f := r.Received(other.client.View().Self, source)
				packets += f.Packets
				gaps[source] = max(gaps[source], f.Viewed.LongestGap)
				if least := leastHeard(source, lasted); f.Packets < least {
					t.Errorf("%s: %d packets of a %s in %v, want %d", what, f.Packets, source, lasted, least)
				}
			}
		}
	}
	t.Logf("figure: %s beside a call: %d packets received, %d lost, %d repaired; no voice was away for more than %v, no picture stood still for more than %v",
		what, packets, lost, repaired, gaps[wire.SourceMic], gaps[wire.SourceCamera])
	// What the kernel dropped, because somebody did not come to read it, may miss two others.
	if spare := 2 * (dropped() - c.dropped); lost > spare {
		t.Errorf("%s: %d packets lost of %d, and %d for want of a reader", what, lost, packets, spare)
	}
}

// leastHeard is what must have come of a source for its losses to mean anything. There are 50 packets of sound a
// second and 15 pictures of at least one; on a busy machine fewer are sent, and pictures may pause.
func leastHeard(source wire.Source, lasted time.Duration) uint64 {
	if os.Getenv("SOAK") == "" {
		return 1
	}
	rate := map[wire.Source]float64{wire.SourceMic: 30, wire.SourceCamera: 8}[source]
	return uint64(rate * lasted.Seconds())
}

// dropped counts the datagrams that this machine's kernel has thrown away because a socket was full.
func dropped() uint64 {
	text, _ := os.ReadFile("/proc/net/snmp") // Linux has it
	var names []string
	for line := range strings.Lines(string(text)) {
		values := strings.Fields(line)
		if values[0] != "Udp:" {
			continue
		}
		if i := slices.Index(names, "RcvbufErrors"); i >= 0 {
			n, _ := strconv.ParseUint(values[i], 10, 64)
			return n
		}
		names = values
	}
	return 0
}

// stop ends the recording, and returns the manifest of what has been written.
func (c *call) stop(t *testing.T) recording.Manifest {
	t.Helper()
	begun := time.Now()
	if _, err := c.people[0].client.Call(t.Context(), &wire.Record{Action: wire.RecordStop}); err != nil {
		t.Fatal(err)
	}
	c.await(t, begun, wire.RecordingOff, wire.RecordingStopped)
	end := time.After(callPatience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		names, err := filepath.Glob(filepath.Join(c.dir, "*", "*.json"))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		b, err := os.ReadFile(names[len(names)-1]) // the latest: ids are in order of time
		if err != nil {
			t.Fatal(err)
		}
		m, err := recording.ParseManifest(b)
		if err == nil && m.State != recording.Open {
			return m
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not complete: %s, %v\n%s", b, err, c.process.log.tail())
		}
	}
}

// ends opens every part with stock age, and tells when the last frame of each was taken.
func (c *call) ends(t *testing.T, m recording.Manifest) (ends []time.Time) {
	t.Helper()
	wrapped, err := os.Open(filepath.Join(c.dir, m.ID, m.ID+".key.age"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = wrapped.Close() }()
	opened, err := age.Decrypt(wrapped, c.records)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(opened)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := age.ParseHybridIdentity(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Parts {
		at, err := lastFrame(filepath.Join(c.dir, m.ID, fmt.Sprintf("%s.p%03d.mkv.age", m.ID, p.N)), secret, p.Cut)
		if err != nil {
			t.Errorf("part %d: %v", p.N, err)
		}
		ends = append(ends, m.Created.Add(at))
	}
	return ends
}

// lastFrame is when the last frame of a part was taken, after the recording began. What was cut has no end for
// age, and what is there before that is whole.
func lastFrame(name string, secret age.Identity, cut bool) (time.Duration, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	r, err := age.Decrypt(f, secret)
	if err != nil {
		return 0, err
	}
	plain, err := io.ReadAll(r)
	if (err != nil) != cut {
		return 0, fmt.Errorf("cut: %v, and age says: %w", cut, err)
	}
	blocks, err := mkv.NewReader(bytes.NewReader(plain))
	if err != nil {
		return 0, err
	}
	last := time.Duration(0)
	for {
		b, err := blocks.Next()
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return 0, err
		}
		last = max(last, b.At)
	}
}
