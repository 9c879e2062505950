package browser_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

// received is what Chromium tells of the one camera and the one voice that it gets.
type received struct {
	At              float64 // ms
	Frames, Freezes int
	Frozen          float64 // s
	Height          int
	Samples         float64 // heard, and of these
	Concealed       float64 // made up, silence apart
}

const receiving = `(async () => {
	const out = { At: performance.now(), Frames: 0, Freezes: 0, Frozen: 0, Height: 0, Samples: 0, Concealed: 0 };
	for (const s of (await bedsideTest.connections.at(-1).getStats()).values()) {
		if (s.type !== 'inbound-rtp') continue;
		out.Frames += s.framesDecoded ?? 0;
		out.Freezes += s.freezeCount ?? 0;
		out.Frozen += s.totalFreezesDuration ?? 0;
		out.Height = Math.max(out.Height, s.frameHeight ?? 0);
		out.Samples += s.totalSamplesReceived ?? 0;
		out.Concealed += (s.concealedSamples ?? 0) - (s.silentConcealedSamples ?? 0);
	}
	return out;
})()`

// since is what came since before.
func (r received) since(before received) received {
	r.At -= before.At
	r.Frames -= before.Frames
	r.Freezes -= before.Freezes
	r.Frozen -= before.Frozen
	r.Samples -= before.Samples
	r.Concealed -= before.Concealed
	return r
}

func (r received) fps() float64       { return float64(r.Frames) / r.At * 1000 }
func (r received) concealed() float64 { return r.Concealed / max(1, r.Samples) }

func (r received) String() string {
	return fmt.Sprintf("%.1f frames/s of %d lines, %d freezes, %.1f s frozen, %.2f %% of the sound concealed, in %.0f s",
		r.fps(), r.Height, r.Freezes, r.Frozen, 100*r.concealed(), r.At/1000)
}

// badLink is one link, and what must hold behind it.
type badLink struct {
	Name       string
	Shape      string
	Step       string // the link from the middle on, for ten seconds; "" for the same
	FPS        float64
	Freezes    int // at most
	Concealed  float64
	SoundAlone bool
	Short      bool // part of every run, and not of long ones alone
	Open       bool // missed so far, which is reported
}

func badLinks() []badLink {
	return []badLink{
		{Name: "500 kbit/s", Shape: "rate=500kbit,delay=25ms", FPS: 15, Concealed: 0.01, Short: true},
		{Name: "Q1", Shape: "rate=384kbit,delay=25ms", FPS: 24, Freezes: 0, Concealed: 0.01, Open: true},
		{Name: "Q2", Shape: "rate=330kbit,delay=40ms,loss=2%", FPS: 20, Freezes: 1, Concealed: 0.02, Open: true},
		{Name: "Q4", Shape: "rate=60kbit,delay=150ms,loss=10%", Concealed: 0.1, SoundAlone: true, Open: true},
		{Name: "Q5", Shape: "rate=2mbit,delay=25ms", Step: "rate=300kbit,delay=25ms", FPS: 15, Freezes: 2, Concealed: 0.02, Open: true},
	}
}

// TestBadLinks has a patient in Chromium behind a bad link, in a namespace of its own, and a clinician in
// another Chromium outside. From two seconds after the first picture on, what getStats tells is held against
// the goals.
func TestBadLinks(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	for i, l := range badLinks() {
		t.Run(l.Name, func(t *testing.T) {
			if !l.Short && os.Getenv("SOAK") != "1" {
				t.Skip("with SOAK=1")
			}
			tunnel := openTunnel(t, "delay=25ms", 100+uint8(i)) // pages have come when the link gets bad
			c := newConsultation(t, "VP8", func(role string) string { return role }, false)
			doctor := c.arrive(clinician)
			ask[bool](doctor, `bedsideTest.textured = true`)
			b := behind{Origin: originBehind(c.server, tunnel), People: []invited{c.invited(patient)}, Verdict: l.Name}
			asked := 0
			runInside(t, tunnel, "TestBadLinksFromInside", b, func(in io.Writer) {
				switch asked++; {
				case asked == 1:
					change(t, tunnel.Set, l.Shape)
					c.letIn(doctor, c.invited(patient))
				case asked%2 == 0:
					change(t, tunnel.Set, l.Step)
				default:
					change(t, tunnel.Set, l.Shape)
				}
				if _, err := io.WriteString(in, "done\n"); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func change(t *testing.T, set func(up, down link.Shape) error, text string) {
	t.Helper()
	shape, err := link.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := set(shape, shape); err != nil {
		t.Fatal(err)
	}
}

// TestBadLinksFromInside is the half of TestBadLinks that runs where the patient is.
func TestBadLinksFromInside(t *testing.T) {
	b, inside := fromOutside(t)
	var l badLink
	for _, one := range badLinks() {
		if one.Name == b.Verdict {
			l = one
		}
	}
	if !inside || l.Name == "" {
		t.Skip("TestBadLinks runs it")
	}
	outside := bufio.NewReader(os.Stdin)
	tell := func() {
		fmt.Println("hole")
		if _, err := outside.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	names, err := json.Marshal(map[string]string{b.People[0].ID: patient})
	if err != nil {
		t.Fatal(err)
	}
	p := newTab(t, t, newChromium(t), patient, strings.Replace(pageScript, "(PERSON)", fmt.Sprintf("(%q, %s, false)", patient, names), 1))
	p.navigate(b.Origin + "/j/#" + b.People[0].invitation())
	(&consultation{t: t}).enter(p)
	tell()
	p.until("room", `bedsideTest.state() === "room"`)
	if !l.SoundAlone {
		p.until("first picture", `(`+receiving+`).then((r) => r.Frames > 0)`)
	}
	pass(2 * time.Second)
	// A machine that has no time stops pictures, too; what a link does it does each time.
	for range 3 {
		r := l.watch(t, p, tell)
		if r.Samples > 0 && r.fps() >= l.FPS && r.Freezes <= l.Freezes && r.concealed() <= l.Concealed {
			return
		}
	}
	if l.Open {
		t.Logf("open: wanted %.0f frames/s, %d freezes at most and %.0f %% concealed at most", l.FPS, l.Freezes, 100*l.Concealed)
		return
	}
	t.Errorf("wanted %.0f frames/s, %d freezes at most and %.0f %% concealed at most", l.FPS, l.Freezes, 100*l.Concealed)
}

// watch is what comes over the link in a while.
func (l badLink) watch(t *testing.T, p *tab, tell func()) received {
	before := ask[received](p, receiving)
	pass(8 * time.Second)
	if l.Step != "" {
		tell()
		pass(10 * time.Second)
		tell()
		pass(10 * time.Second)
	} else if os.Getenv("SOAK") == "1" {
		pass(50 * time.Second)
	}
	r := ask[received](p, receiving).since(before)
	t.Logf("figure: Chromium behind %s: %v", l.Shape, r)
	return r
}

// pass lets time pass in which the browser is watched.
func pass(d time.Duration) { <-time.After(d) }
