package browser_test

import (
	"fmt"
	"testing"
)

// switching is what a page saw of a picture whose size it changed again and again.
type switching struct {
	Switches, Gap int   // Gap: the longest between two presented frames in ms
	Took          []int // ms from asking to the first frame of the other size
	Freezes, Plis int   // a decoder that fails asks for a key frame
	Codec         string
}

// switchSizes asks n times for the small and the large encoding in turn, and waits for each; 0 times is
// eight seconds of looking on.
const switchSizes = `(async (n) => {
	const id = Object.keys(bedsideTest.names).find((k) => bedsideTest.names[k] === "clinician");
	const slot = (await bedside.stats()).slots.find((s) => s.participant === id && s.source === "camera");
	const video = bedsideTest.all(".tile video")[0];
	const report = async () => {
		for (const c of bedsideTest.connections) for (const s of (await c.getStats()).values()) {
			if (s.type === "inbound-rtp" && s.ssrc === slot.ssrc) return s;
		}
	};
	const out = { Switches: 0, Gap: 0, Took: [], Codec: slot.codec };
	const before = await report();
	let last = 0, width = 0, done = false;
	const look = (now, frame) => {
		if (last) out.Gap = Math.max(out.Gap, Math.round(now - last));
		[last, width] = [now, frame.width];
		if (!done) video.requestVideoFrameCallback(look);
	};
	video.requestVideoFrameCallback(look);
	for (let i = 0; i < n; i++) {
		const height = i %% 2 ? 360 : 180;
		const begun = performance.now();
		await bedside.layout([{ participant: id, source: "camera", width: height * 16 / 9, height, pinned: false }]);
		await bedsideTest.until("picture of " + height + " lines", 15000, () => width === height * 16 / 9);
		out.Took.push(Math.round(performance.now() - begun));
		out.Switches++;
		await new Promise((r) => setTimeout(r, 100 + Math.random() * 500));
	}
	if (!n) await new Promise((r) => setTimeout(r, 8000));
	done = true;
	const after = await report();
	out.Freezes = after.freezeCount - before.freezeCount;
	out.Plis = after.pliCount - before.pliCount;
	return out;
})(%d)`

// TestLayers switches between two encodings of a camera fifty times with each codec: the picture never
// stands still for it, and the decoder never asks for help. Then the large one is stopped at the publisher, who
// begins with it anew.
func TestLayers(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	for _, codec := range []string{"VP8", "H264"} {
		t.Run(codec, func(t *testing.T) {
			c := newConsultation(t, codec, func(role string) string { return role }, false)
			doctor, sam := c.arrive(clinician), c.arrive(patient)
			c.admit(doctor, sam)
			c.seesEach()
			idle := ask[switching](sam, switchSizes, 0)
			var all switching
			for range 10 {
				s := ask[switching](sam, switchSizes, 5)
				all.Switches += s.Switches
				all.Gap = max(all.Gap, s.Gap)
				all.Took = append(all.Took, s.Took...)
				all.Freezes += s.Freezes
				all.Plis += s.Plis
				all.Codec = s.Codec
			}
			if all.Codec != "video/"+codec || all.Switches != 50 {
				t.Errorf("%d switches of %s", all.Switches, all.Codec)
			}
			if all.Plis != 0 {
				t.Errorf("the decoder asked for %d key frames", all.Plis)
			}
			// A machine that has no time for the browsers freezes pictures that nobody switches, too.
			if quiet := idle.Freezes == 0 && idle.Gap <= 100; quiet && (all.Freezes != 0 || all.Gap > 200) {
				t.Errorf("%d freezes, %d ms without a frame", all.Freezes, all.Gap)
			}
			t.Logf("figure: Chromium, %s: %d switches, %d freezes, longest gap %d ms (%d in 8 s without switching, %d ms), shown after %v ms",
				codec, all.Switches, all.Freezes, all.Gap, idle.Freezes, idle.Gap, all.Took)
			sending := `(() => { for (const c of bedsideTest.connections) for (const s of c.getSenders()) {
				const h = s.getParameters().encodings?.find((e) => e.rid === "h"); if (s.track && h) return h.active; } })()`
			id := c.invited(clinician).ID
			show := func(height int) {
				ask[bool](sam, `bedside.layout([{ participant: %q, source: "camera", width: %d, height: %d, pinned: false }]).then(() => true)`,
					id, height*16/9, height)
			}
			show(180)
			doctor.until("end of the large encoding", "%s", fmt.Sprintf("%s === false", sending))
			show(360)
			doctor.until("its return", "%s", fmt.Sprintf("%s === true", sending))
			sam.until("large picture", `bedsideTest.all(".tile video")[0].videoWidth === 640`)
		})
	}
}
