package browser_test

import (
	_ "embed"
	"testing"
)

//go:embed testdata/player.js
var playerScript string

// TestWHEPPlayer has a page without the SDK watch by WHEP, as any player in a browser does: a stock offer of
// one audio and one video line, and one of nine each with every codec that Chromium has.
func TestWHEPPlayer(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	c := newConsultation(t, "VP8", func(role string) string { return role }, false)
	doctor := c.arrive(clinician)
	for _, lines := range []int{1, 9} {
		wall := c.invite(`{"role":"device","watch":true}`)
		player := c.newTab("player")
		player.navigate(c.server.url + "/precall")
		player.until("answer", `(window.player ??= (%s)(%q, %d)) && (await window.player).status === 201`, playerScript, c.token(wall), lines)
		player.until("connection", `(await window.player).pc.connectionState === 'connected'`)
		c.letIn(doctor, wall)
		player.until("the clinician's picture", `(await window.player).shows() === 'clinician'`)
		player.until("30 frames", `(await window.player).frames >= 30`)
		player.until("sound", `await (await window.player).heard() > 0`)
		if bytes := ask[int](player, "window.player.then((p) => p.bytes)"); lines == 9 {
			t.Logf("figure: Chromium offers %d B for nine lines of each kind to receive, as it comes", bytes)
		}
		if status := ask[int](player, "window.player.then((p) => p.leave())"); status != 200 {
			t.Errorf("%d lines: DELETE: %d", lines, status)
		}
		doctor.until("empty room", `!bedsideTest.one('[data-roster=%q]')`, wall.ID)
	}
}
