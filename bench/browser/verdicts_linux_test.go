package browser_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem"
)

// verdictRun is a link, and what the check of a connection has to say of it (clinical.md 5.3, Q13): warn below
// 330 kbit/s, sound alone below 180, and warn where more is lost than can be sent again.
type verdictRun struct{ shape, verdict string }

// verdictTime is what a check may take.
const verdictTime = 10 * time.Second

// verdictsAtOnce are as many links as one browser checks at the same time.
const verdictsAtOnce = 6

// verdictRuns are the links of a round of make test, or of the ten of make soak: 60 links drawn once for all, a
// third of each class, a tenth or more away from the bounds (what is measured is what TCP carries, 4 % less).
func verdictRuns() (rounds [][]verdictRun) {
	if os.Getenv("SOAK") != "1" {
		return [][]verdictRun{{
			{"rate=1mbit,delay=20ms", "ok"}, {"rate=450kbit,delay=60ms,loss=1%", "ok"}, {"rate=280kbit,delay=20ms", "warn"},
			{"rate=1mbit,delay=20ms,loss=12%", "warn"}, {"rate=130kbit,delay=20ms", "audio"}, {"rate=90kbit,delay=80ms", "audio"},
		}}
	}
	random := rand.New(rand.NewPCG(13, 60))
	for range 10 {
		var round []verdictRun
		for i := range verdictsAtOnce {
			class := [][3]any{{370.0, 4000.0, "ok"}, {200.0, 300.0, "warn"}, {60.0, 162.0, "audio"}}[i%3]
			low, high := class[0].(float64), class[1].(float64)
			rate := low * math.Pow(high/low, random.Float64())
			round = append(round, verdictRun{
				fmt.Sprintf("rate=%.0fkbit,delay=%dms,loss=%.1f%%", rate, 5+random.IntN(100), 2*random.Float64()), class[2].(string),
			})
		}
		rounds = append(rounds, round)
	}
	return rounds
}

// TestVerdicts has one browser check connections to several servers, each behind a link of its own, all at the
// same time, by the page that people see.
func TestVerdicts(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	const good = "delay=5ms" // the pages come over it
	var links []*emulated
	var origins []string
	for i := range verdictsAtOnce {
		join := ""
		if i > 0 {
			join = links[0].Namespace
		}
		e := emulate(t, good, 150+uint8(i), join)
		links = append(links, e)
		origins = append(origins, startServer(t, "--listen", e.Server.String()+":0").url)
	}
	browser := links[0].chromium(t)
	var pages []*tab
	for range links {
		pages = append(pages, newTab(t, t, browser, patient, "globalThis.bedsidePlain = true;\n"+scriptFor(t, patient, map[string]string{}, false)))
	}
	machine := linkem.NewBeat()
	t.Cleanup(machine.Close)
	right, all := 0, 0
	for _, round := range verdictRuns() {
		for i, p := range pages {
			links[i].set(good)
			p.navigate(origins[i] + "/precall")
			p.press("continue")
			p.until("way to begin", `bedsideTest.still('[data-action="done"]')`)
		}
		machine.Take()
		for i, p := range pages {
			links[i].set(round[i].shape)
			// The page itself says when it knew: this test looks at one page after the other.
			ask[bool](p, `(globalThis.began = performance.now(), globalThis.known = bedsideTest.until('verdict', 20000, () => `+
				`bedsideTest.one('.connection-check[data-verdict] details')).then(() => performance.now() - began), true)`)
			p.press("done")
		}
		for i, p := range pages {
			took := time.Duration(ask[float64](p, "known") * float64(time.Millisecond))
			got := ask[string](p, `bedsideTest.one('.connection-check').dataset.verdict`)
			late := punctual{link: links[i].late()}
			if i == 0 {
				late.machine = machine.Take()
			}
			all++
			if got == round[i].verdict {
				right++
			}
			t.Logf("figure: %s: %s, wanted %s, after %v: %s; %v", round[i].shape, got, round[i].verdict, took.Round(100*time.Millisecond),
				strings.ReplaceAll(ask[string](p, `[...document.querySelectorAll('details li')].map((e) => e.textContent).join('; ')`), "\n", " "), late)
			if took > verdictTime {
				t.Errorf("the check took %v", took)
			}
		}
	}
	t.Logf("figure: Q13: %d of %d verdicts are right", right, all)
	if float64(right) < 0.95*float64(all) {
		t.Errorf("%d of %d verdicts are right", right, all)
	}
}
