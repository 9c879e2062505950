package browser_test

import "testing"

// TestRED: Chromium sends a voice with the packet before in each, and the server hands on plain Opus to
// who loses nothing.
func TestRED(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	c := newConsultation(t, "VP8", func(role string) string { return role }, false)
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	c.admit(doctor, sam)
	for _, p := range c.present {
		other := map[string]string{clinician: patient, patient: clinician}[p.name]
		// Chromium calls both Opus in its statistics; the bytes of a packet tell.
		p.until("a voice sent with copies and heard without", `(async () => {
			const all = [...(await bedsideTest.connections.at(-1).getStats()).values()].filter((s) => s.kind === 'audio');
			const sent = all.find((s) => s.type === 'outbound-rtp' && s.packetsSent > 100);
			const got = all.find((s) => s.type === 'inbound-rtp' && s.mid === bedsideTest.seat(%q, 'mic') && s.packetsReceived > 100);
			return sent && got && sent.bytesSent / sent.packetsSent > 1.6 * got.bytesReceived / got.packetsReceived
				&& await bedsideTest.hear(%q) > 0;
		})()`, other, other)
	}
}
