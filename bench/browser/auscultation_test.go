package browser_test

import "testing"

// TestAuscultation: a stethoscope's sound goes to the others when its page has some, stops when it has none, and comes
// again. Meanwhile its sender is inactive (media.js: what is active keeps Chromium's estimate up).
func TestAuscultation(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	c := newConsultation(t, "VP8", func(role string) string { return role }, false)
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	c.admit(doctor, sam)
	c.hearsEach()
	use := func(on string) {
		ask[bool](sam, `(async () => {
			globalThis.heart ??= (() => {
				const audio = new AudioContext(), tone = new OscillatorNode(audio, { frequency: 70 }), out = audio.createMediaStreamDestination();
				tone.connect(out);
				tone.start();
				return out.stream.getAudioTracks()[0];
			})();
			await bedside.setTrack('auscultation', %s);
			return true;
		})()`, on)
	}
	heard := func(what string) {
		was := ask[int](doctor, "(async () => { %s return got?.packetsReceived ?? 0; })()", inboundHeart)
		doctor.until(what, `(async () => { %s return got && got.packetsReceived > %d && got.totalAudioEnergy > 0; })()`, inboundHeart, was+100)
	}
	use("heart")
	heard("heart")
	use("null")
	sam.until("an inactive sender", `bedsideTest.connections.at(-1).getSenders().some((s) => !s.track && s.getParameters().encodings[0]?.active === false)`)
	use("heart")
	heard("heart again")
}

// inboundHeart gets what arrives of the patient's stethoscope.
const inboundHeart = `
	const all = [...(await bedsideTest.connections.at(-1).getStats()).values()];
	const got = all.find((s) => s.type === 'inbound-rtp' && s.mid === bedsideTest.seat('patient', 'auscultation'));`
