package browser_test

import "testing"

// TestH264 is a consultation in which everybody sends H.264, as a cart with a hardware encoder does:
// simulcast, layers and pictures as with VP8.
func TestH264(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	c := newConsultation(t, "H264", func(role string) string { return role }, false)
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	c.admit(doctor, sam)
	c.seesEach()
	for _, p := range c.present {
		p.until("H.264 in both directions", `(async () => {
			const { slots, senders } = await bedside.stats();
			const codecs = [...slots, ...senders].filter((x) => x.framesDecoded > 0 || x.framesEncoded > 0).map((x) => x.codec);
			return codecs.length >= 2 && codecs.every((x) => x === 'video/H264');
		})()`)
		for _, w := range ask[[]wrongFrame](p, "bedsideTest.wrong") {
			// In one run of eight the lowest layer began with two frames that were plain black (Chromium
			// 156 with OpenH264, 2026-11-22; never seen with VP8). Why is not known; they are nobody's.
			if w.Got != "----" {
				t.Errorf("%s: the tile of %s showed %s", p.name, w.Tile, w.Got)
			}
		}
	}
}
