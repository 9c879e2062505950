package browser_test

import (
	"os"
	"strings"
	"testing"
)

// TestPrecallInFirefox: its encoder fills the way up, too, and it tells what of the padding came.
func TestPrecallInFirefox(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	fox := newFirefox(t)
	s := startServer(t)
	p := fox.newTab(t, patient, strings.Replace(pageScript, "(PERSON)", `("patient", {}, true)`, 1))
	p.navigate(s.url + "/precall")
	p.press("continue")
	p.until("way to begin", `bedsideTest.still('[data-action="done"]')`) // a click has been: the tone may sound
	type result struct {
		Verdict          string
		UDP              bool
		Up, Down         float64
		UpMore, DownMore bool
		RoundTrip        float64
		LossUp, LossDown float64
	}
	r := ask[result](p, `import('/sdk/v1/check.js').then((m) => m.checkConnection(location.origin))`)
	t.Logf("figure: Firefox's check: %+v", r)
	least := 330_000.0 // for that verdict
	if os.Getenv("SOAK") != "" {
		least = 1.8e6 // of a machine that has time
	}
	if r.Verdict != "ok" || !r.UDP || r.Down < least || r.Up < 330_000 {
		t.Errorf("%+v", r)
	}
}
