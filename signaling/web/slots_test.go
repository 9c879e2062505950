package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// testOffer checks what the server's cost of a join and the lobby's silence depend on.
func testOffer(t *testing.T, browser context.Context) {
	f := newFake(t)
	f.invite("x", clinician())
	newTab(t, browser, f.URL+"/j/#x", "")
	o := expect(t, f.session(t), any1[*wire.Offer])
	var sources []string
	for _, track := range o.Tracks {
		sources = append(sources, string(track.Source))
		if s := section(t, o.SDP, track.Mid); !strings.Contains(s, "a=sendonly") {
			t.Errorf("%s is not sendonly", track.Source)
		}
	}
	if got := strings.Join(sources, " "); got != "mic camera screen" {
		t.Errorf("tracks %s", got)
	}
	if got := strings.Join(slotKinds(o.SDP), " "); got != "audio audio video video video" {
		t.Errorf("slots %s", got)
	}
	camera := section(t, o.SDP, o.Tracks[1].Mid)
	if !strings.Contains(camera, "a=simulcast:send q;h;f") {
		t.Error("the camera does not offer q;h;f")
	}
	for s := range strings.SplitSeq(o.SDP, "\r\nm=") {
		var codecs []string
		for line := range strings.SplitSeq(s, "\r\n") {
			if rest, ok := strings.CutPrefix(line, "a=rtpmap:"); ok {
				_, codec, _ := strings.Cut(rest, " ")
				codecs = append(codecs, codec)
			}
		}
		want := "VP8/90000 rtx/90000 H264/90000 rtx/90000"
		switch {
		case strings.HasPrefix(s, "audio") && strings.Contains(s, "a=sendonly"):
			want = "red/48000/2 opus/48000/2" // what comes first is what is sent
		case strings.HasPrefix(s, "audio"):
			want = "opus/48000/2 red/48000/2"
		}
		if got := strings.Join(codecs, " "); len(codecs) > 0 && got != want {
			t.Errorf("codecs %s, want %s", got, want)
		}
	}
	t.Logf("offer of %d bytes, 3 senders and 5 slots", len(o.SDP))
}

// testLadder: three layers of a large camera, and the whole of a small one. What is asked of the
// browser is compared, not what it sends: on a busy machine it lowers that as it sees fit.
func testLadder(t *testing.T, browser context.Context) {
	for _, test := range []struct {
		name          string
		width, height int
		want          string
	}{
		{"720p", 1280, 720, "q 1/4 100000, h 1/2 260000, f 1/1 1500000"},
		{"540p", 960, 540, "q 1/4 100000, h 1/2 260000, f 1/1 1500000"},
		{"360p", 640, 360, "q 1/2 100000, h 1/1 260000, f off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, s := enter(t, browser, newFake(t), clinician(), connections+fmt.Sprintf(`{
				const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
				navigator.mediaDevices.getUserMedia = (c) => real({ ...c, video: { width: %d, height: %d } });
			}`, test.width, test.height))
			sends := func(want string) {
				p.until(fmt.Sprintf(`connections[0].getSenders()[1].track?.getSettings().width === %d && (() => {
					globalThis.ladder = connections[0].getSenders()[1].getParameters().encodings.map((e) =>
						e.rid + (e.active ? ' 1/' + e.scaleResolutionDownBy + ' ' + e.maxBitrate : ' off')).join(', ');
					return ladder === %q;
				})()`, test.width, want))
			}
			sends(test.want)
			// The lowest one goes by the worst network of those who see it, and never above what it is otherwise.
			mid := eval[string](p, `connections[0].getTransceivers()[1].mid`)
			asked := strings.Replace(test.want, "100000", "45000", 1)
			s.send(&wire.Layers{Mid: mid, Active: []string{"q", "h", "f"}, MaxBitrate: map[string]int{"q": 45_000, "h": 900_000}})
			sends(asked)
			s.send(&wire.Layers{Mid: mid, Active: []string{"q", "h", "f"}})
			sends(test.want)
		})
	}
}

// testStalled: a camera whose frames stop coming does not pass for a person who sits still.
func testStalled(p *tab) {
	p.t.Helper()
	eval[bool](p, `(async () => {
		globalThis.sender = connections.flatMap((c) => c.getSenders()).find((s) => s.track?.kind === 'video');
		globalThis.picture = sender.track;
		await sender.replaceTrack(null);
		return true;
	})()`)
	p.until(`document.querySelector('.tile[data-participant="p_pat"].stalled .cover')?.checkVisibility()`)
	eval[bool](p, `sender.replaceTrack(picture).then(() => true)`)
	p.until(`!document.querySelector('.tile[data-participant="p_pat"] .cover').checkVisibility()`)
}

// testSlideShow: nor does one of which a frame comes now and then, however often.
func testSlideShow(p *tab) {
	p.t.Helper()
	eval[bool](p, `(async () => {
		globalThis.slide = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
		const [track] = slide.captureStream(0).getVideoTracks();
		globalThis.slides = setInterval(() => {
			slide.getContext('2d').fillRect(Math.random() * 600, Math.random() * 300, 40, 40);
			track.requestFrame();
		}, 1800);
		await sender.replaceTrack(track);
		return true;
	})()`)
	const tile = `document.querySelector('.tile[data-participant="p_pat"]')`
	// It says so for as long as that goes on, whatever is shown meanwhile.
	eval[bool](p, `(() => {
		globalThis.paused = { since: 0, shown: 0, over: false };
		const tile = `+tile+`, video = tile.querySelector('video');
		video.requestVideoFrameCallback(function look() {
			if (paused.since) paused.shown++;
			if (!paused.over) video.requestVideoFrameCallback(look);
		});
		paused.watch = setInterval(() => {
			if (!tile.classList.contains('stalled')) [paused.since, paused.shown] = [0, 0];
			else paused.since ||= performance.now();
		}, 20);
		return true;
	})()`)
	p.until(`paused.since && performance.now() - paused.since > 5000 && paused.shown > 1`)
	eval[bool](p, `clearInterval(paused.watch), paused.over = true`)
	eval[bool](p, `clearInterval(slides), sender.replaceTrack(picture).then(() => true)`)
	p.until(`!` + tile + `.classList.contains('stalled')`)
}

// testSlots: a tile shows a picture only from the RTP timestamp that the server named.
func testSlots(t *testing.T, browser context.Context) {
	f := newFake(t)
	i := clinician()
	i.echo = true
	p, s := enter(t, browser, f, i, connections)
	s.send(&wire.Roster{Participants: append(room(), wire.Participant{ID: "p_ana", Role: wire.RoleInterpreter, Display: "Ana", State: wire.StateAdmitted, Connected: true})})
	var first uint32
	select {
	case first = <-s.media.flows:
	case <-time.After(deadline):
		t.Fatal("the camera does not flow")
	}
	mid := eval[string](p, `bedside.tiles[0].mid`)
	tile := func(id, shown string) string {
		return fmt.Sprintf(`document.querySelector('.tile[data-participant=%q]').dataset.shown === %q`, id, shown)
	}
	assign := func(epoch uint64, a wire.Assignment) {
		a.Mid = mid
		s.send(&wire.Slots{Epoch: epoch, Assignments: []wire.Assignment{a}})
	}
	assign(1, wire.Assignment{Participant: "p_pat", Source: wire.SourceCamera, State: wire.SlotLive, RTP: first})
	p.until(tile("p_pat", "true"))
	p.until(`document.querySelector('.tile[data-participant="p_pat"] video').videoWidth > 0`)
	p.press("close-people")
	testStalled(p)
	testSlideShow(p)

	// Two seconds of the old person's frames are still to come. Each frame on the screen is noted with
	// whether the slot counts as shown then: callbacks run in the order of their registration, so
	// the page has decided about a frame before this one sees it.
	eval[bool](p, fmt.Sprintf(`(() => {
		globalThis.frames = [];
		const slot = bedside.tiles.find((t) => t.mid === %q);
		const note = (_, { rtpTimestamp }) => {
			const now = bedside.tiles.find((t) => t.mid === slot.mid);
			frames.push({ rtp: rtpTimestamp, who: now.participant, shown: now.shown });
			slot.element.requestVideoFrameCallback(note);
		};
		slot.element.requestVideoFrameCallback(note);
		return true;
	})()`, mid))
	p.until(`frames.length >= 20`) // the picture flows steadily
	type frame struct {
		RTP   uint32
		Who   string
		Shown bool
	}
	// A busy browser may present none of the old person's frames: then it is handed over again.
	epoch, early := uint64(2), 0
	for try := 0; early == 0 && try < 5; try++ {
		assign(epoch, wire.Assignment{Participant: "p_pat", Source: wire.SourceCamera, State: wire.SlotLive, RTP: s.media.now()})
		p.until(tile("p_pat", "true"))
		boundary := s.media.now() + 180000
		eval[bool](p, `frames.length = 0, true`)
		assign(epoch+1, wire.Assignment{Participant: "p_ana", Source: wire.SourceCamera, State: wire.SlotLive, RTP: boundary})
		epoch += 2
		p.until(tile("p_ana", "true"))
		p.until(`frames.some((f) => f.who === 'p_ana' && f.shown)`)
		for _, f := range eval[[]frame](p, `frames.filter((f) => f.who === 'p_ana')`) {
			theirs := int32(f.RTP-boundary) >= 0
			if f.Shown != theirs {
				t.Errorf("a frame %d units after the boundary: shown %v", int32(f.RTP-boundary), f.Shown)
			}
			if !theirs {
				early++
			}
		}
	}
	if early == 0 {
		t.Error("no frame of the old person came after any change: nothing was tested")
	}
	if !eval[bool](p, tile("p_pat", "false")) {
		t.Error("the person whose slot is gone is still shown")
	}
	assign(epoch, wire.Assignment{State: wire.SlotEmpty})
	p.until(tile("p_ana", "false"))
	assign(epoch, wire.Assignment{Participant: "p_ana", Source: wire.SourceCamera, State: wire.SlotLive}) // a repeated epoch
	s.send(&wire.Speakers{Levels: []wire.Level{{Participant: "p_pat", Level: 80}}})
	p.until(`document.querySelector('.tile[data-participant="p_pat"]').classList.contains('speaking')`)
	if !eval[bool](p, tile("p_ana", "false")) {
		t.Error("an old slots message was obeyed")
	}
}
