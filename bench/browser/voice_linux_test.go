package browser_test

import (
	"fmt"
	"testing"
)

// voiceLoss is what the voices in TestVoices lose, either way.
const voiceLoss = 0.15

// TestVoices has two people in Chromium behind a link that loses much: what they send carries what the
// server asks for, and both sides ask for what is lost and send it again.
func TestVoices(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	e := emulate(t, "delay=20ms", 170, "")
	c := consultationBehind(t, e, "voices")
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	c.admit(doctor, sam)
	for _, p := range c.present {
		p.until("a voice", "(await %s).received > 100", voiceStats)
	}
	size := func(from, to voices) float64 { return (to.Bytes - from.Bytes) / (to.Sent - from.Sent) }
	e.set(fmt.Sprintf("delay=20ms,loss=%g%%", 100*voiceLoss))
	// Some seconds of it tell the server that two copies are needed, of a voice that takes less.
	for _, p := range c.present {
		p.until("word of what it is to carry", "(await %s).rate < 24000", voiceStats)
	}
	var before []voices
	for _, p := range c.present {
		before = append(before, ask[voices](p, voiceStats))
	}
	for i, p := range c.present {
		to, from := before[i], before[i]
		least := from.Target // a browser without time estimates its path to be narrow, and makes frames of 6 kbit/s
		for range 5 {
			p.until("more of a lossy voice", "(await %s).sent > %f", voiceStats, to.Sent+50)
			to = ask[voices](p, voiceStats)
			least = min(least, to.Target)
		}
		lost := (to.Lost - from.Lost) / (to.Received - from.Received + to.Lost - from.Lost)
		t.Logf("figure: a voice in Chromium, %.0f %% lost either way: %.1f %% missing of what %s was sent after %.0f packets asked for, %.1f %% of the samples concealed; "+
			"of what it sends %.0f of %.0f packets sent again, %.0f bytes each at %.0f bit/s or more", 100*voiceLoss, 100*lost, p.name, to.Asked-from.Asked,
			100*(to.Concealed-from.Concealed)/(to.Samples-from.Samples), to.Again-from.Again, to.Sent-from.Sent, size(from, to), least)
		if to.Asked == from.Asked || lost > 0.75*voiceLoss {
			t.Errorf("%s: what was lost did not come again", p.name)
		}
		// A browser's own has two frames and 5 bytes: 2.1 times a frame; with two copies it is 3.2 times.
		if frame := least / 50 / 8; frame == 0 || size(from, to) < 2.6*frame {
			t.Errorf("%s: a packet does not carry what it was asked for", p.name)
		}
	}
}

// voiceStats are of the voice that a page sends and of the one that it hears.
const voiceStats = `(async () => {
	const all = [...(await bedsideTest.connections.at(-1).getStats()).values()].filter((s) => s.kind === 'audio');
	const heard = all.find((s) => s.type === 'inbound-rtp' && s.packetsReceived > 100) ?? {};
	const sent = all.find((s) => s.type === 'outbound-rtp' && s.packetsSent > 100) ?? {};
	const sender = bedsideTest.connections.at(-1).getSenders().find((s) => s.track?.kind === 'audio');
	return { target: sent.targetBitrate ?? 0, rate: sender?.getParameters().encodings[0].maxBitrate ?? 0, received: heard.packetsReceived ?? 0, lost: heard.packetsLost ?? 0, asked: heard.nackCount ?? 0,
		concealed: heard.concealedSamples ?? 0, samples: heard.totalSamplesReceived ?? 0,
		sent: sent.packetsSent ?? 0, bytes: sent.bytesSent ?? 0, again: sent.retransmittedPacketsSent ?? 0 };
})()`

type voices struct {
	Received, Lost, Asked, Concealed, Samples float64
	Sent, Bytes, Again                        float64
	Rate, Target                              float64 // bit/s that the voice is to take at most, and that its encoder is to make
}
