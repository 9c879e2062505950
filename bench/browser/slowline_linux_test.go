package browser_test

import (
	"io"
	"strings"
	"testing"
	"time"
)

// TestSlowLine checks connections through links of a known rate, from inside their namespace, with the
// real server outside.
func TestSlowLine(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	for i, tt := range []struct{ shape, verdict string }{
		{"rate=1mbit,delay=20ms", "ok"}, {"rate=280kbit,delay=20ms", "warn"}, {"rate=130kbit,delay=20ms", "audio"}, {"rate=1mbit,delay=20ms,loss=12%", "warn"},
	} {
		t.Run(tt.shape, func(t *testing.T) {
			tunnel := openTunnel(t, tt.shape, 150+uint8(i))
			s := startServer(t)
			runInside(t, tunnel, "TestSlowLineFromInside", behind{Origin: originBehind(s, tunnel), Verdict: tt.verdict}, func(io.Writer) {})
		})
	}
}

// TestSlowLineFromInside is the half of TestSlowLine that runs where its browser is.
func TestSlowLineFromInside(t *testing.T) {
	b, inside := fromOutside(t)
	if !inside || b.Verdict == "" {
		t.Skip("TestSlowLine runs it")
	}
	p := newTab(t, t, newChromium(t), patient, strings.Replace(pageScript, "(PERSON)", `("patient", {}, true)`, 1))
	p.navigate(b.Origin + "/precall")
	p.press("continue")
	p.press("done")
	began := time.Now()
	p.until("verdict", `bedsideTest.one('.connection-check[data-verdict] details')`)
	took := time.Since(began)
	got := ask[string](p, `bedsideTest.one('.connection-check').dataset.verdict`)
	t.Logf("figure: %s after %v: %s", got, took.Round(100*time.Millisecond),
		ask[string](p, `[...document.querySelectorAll('details li')].map((e) => e.textContent).join('; ')`))
	if got != b.Verdict {
		t.Errorf("%s, want %s", got, b.Verdict)
	}
	if took > 11*time.Second { // ten and a busy machine
		t.Errorf("the check took %v", took)
	}
}
