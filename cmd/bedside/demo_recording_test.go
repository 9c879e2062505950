package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/cmd/internal/command"
	"github.com/bedside-video/bedside/signaling/wire"
)

// demoGuest comes in by one of the demo's links.
func demoGuest(t *testing.T, out, role string) *bench.Client {
	t.Helper()
	link := regexp.MustCompile(`(?m)^  ` + role + ` +(http://[^/]+)/j/#([\w-]{22})$`).FindStringSubmatch(out)
	if link == nil {
		t.Fatalf("no link for the %s in\n%s", role, out)
	}
	c := bench.New(bench.Config{
		BaseURL: link[1], Invitation: link[2], HTTP: http.DefaultClient, Loopback: true, Stack: bench.Lean, Seed: 1,
		Media: bench.Media{Camera: bench.Camera(), Mic: bench.Microphone()},
	})
	t.Cleanup(c.Close)
	if err := c.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// say sends a message and waits for its reply.
func say(t *testing.T, c *bench.Client, m wire.ClientMessage) {
	t.Helper()
	if _, err := c.Call(t.Context(), m); err != nil {
		t.Fatalf("%T: %v", m, err)
	}
}

// TestDemoRecords records two people in a demo and opens that with the command that the demo printed. When
// the demo has stopped, nothing of it is left, the key least of all.
func TestDemoRecords(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	out := &written{want: "Ctrl+C", seen: make(chan struct{})}
	var errs written
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	code := make(chan int, 1)
	runDemo := func() {
		code <- run(ctx, world{out: out, errs: &errs, clock: time.Now, rand: rand.Reader},
			[]string{"demo", "--record", "--listen", "127.0.0.1:0", "--metrics-listen", "localhost:0"})
	}
	go runDemo()
	select {
	case <-out.seen:
	case c := <-code:
		t.Fatalf("ended with %d: %s", c, errs.String())
	}
	doctor, patient := demoGuest(t, out.String(), "clinician"), demoGuest(t, out.String(), "patient")
	say(t, patient, &wire.Consent{Recording: wire.ConsentGranted, Notice: patient.View().Policy.Notice})
	if err := doctor.Admit(t.Context(), patient.View().Self); err != nil {
		t.Fatal(err)
	}
	say(t, doctor, &wire.Record{Action: wire.RecordRequest})
	dir := filepath.Dir(recordedPart(t))
	say(t, doctor, &wire.Record{Action: wire.RecordStop})
	awaitIn(t, dir, `"state": "complete"`)

	printed := regexp.MustCompile(`(?m)^  bedside (recording open .*) -o visit.mkv$`).FindStringSubmatch(out.String())
	if printed == nil {
		t.Fatalf("no command in\n%s", out.String())
	}
	film := filepath.Join(t.TempDir(), "visit.mkv")
	var said, complained bytes.Buffer
	if c := run(t.Context(), testWorld(&said, &complained), append(strings.Fields(printed[1]), "-o", film)); c != command.ExitFine {
		t.Errorf("%s: %d %s", printed[1], c, complained.String())
	}
	if b, err := os.ReadFile(film); err != nil || !bytes.Contains(b, []byte(patient.View().Self+" camera")) || !bytes.Contains(b, []byte(doctor.View().Self+" mic")) {
		t.Errorf("the film has %d bytes, %v", len(b), err)
	}
	interrupt()
	if c := <-code; c != command.ExitFine || errs.String() != "" {
		t.Errorf("ended with %d: %s", c, errs.String())
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// recordedPart waits for a part of each of two people with something in it, and returns one.
func recordedPart(t *testing.T) string {
	t.Helper()
	return await(t, "two parts of some size", func() string {
		parts, _ := filepath.Glob(filepath.Join(os.TempDir(), "bedside-demo-*", recordingsDir, "*", "*.mkv.age"))
		full := slices.DeleteFunc(parts, func(name string) bool {
			info, err := os.Stat(name)
			return err != nil || info.Size() < 100_000
		})
		if len(full) < 2 {
			return ""
		}
		return full[0]
	})
}

// awaitIn waits for a text in the manifest in a directory.
func awaitIn(t *testing.T, dir, text string) {
	t.Helper()
	await(t, text, func() string {
		b, _ := os.ReadFile(filepath.Join(dir, filepath.Base(dir)+".json"))
		if !bytes.Contains(b, []byte(text)) {
			return ""
		}
		return text
	})
}

// await asks until there is an answer.
func await(t *testing.T, what string, ask func() string) string {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if answer := ask(); answer != "" {
			return answer
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}
