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
		p.checkFrames()
	}
}
