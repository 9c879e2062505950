package sim_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// display watches one audio and one video line, as a stock WHEP client does.
type display struct {
	*device
	audio, video atomic.Uint64 // packets
}

func newDisplay(w *sim.World, ref string) (*display, error) {
	d, err := newDevice(w, ref, "/v1/whep")
	if err != nil {
		return nil, err
	}
	v := &display{device: d}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := d.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return nil, err
		}
	}
	d.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		count := &v.video
		if t.Kind() == webrtc.RTPCodecTypeAudio {
			count = &v.audio
		}
		for {
			if _, _, err := t.ReadRTP(); err != nil {
				return
			}
			count.Add(1)
		}
	})
	return v, nil
}

// TestWHEP has a wall display watch with a plain WebRTC client: nothing reaches it until a clinician has let
// it in, sound and picture then, and nothing on hold; an ICE restart keeps it, DELETE ends it.
func TestWHEP(t *testing.T) {
	camera := bench.Media{Camera: bench.SimulcastCamera(), Mic: bench.Microphone()}
	people := []sim.Person{{Ref: "doctor", Role: wire.RoleClinician, Media: camera}, {Ref: "wall", Role: wire.RoleDevice, Watch: true}}
	var d *display
	// between passes a while and checks whether packets have come.
	between := func(name string, comes bool, f func(w *sim.World) error) sim.Step {
		return sim.Do{Name: name, Func: func(w *sim.World) error {
			if err := f(w); err != nil {
				return err
			}
			audio, video := d.audio.Load(), d.video.Load()
			sim.Advance(2 * time.Second)
			audio, video = d.audio.Load()-audio, d.video.Load()-video
			// 50 packets of sound a second; of pictures at least one each.
			if got := audio >= 95 && video >= 40; got != comes || !comes && audio+video > 0 {
				t.Errorf("%s: %d packets of audio, %d of video in 2 s; want any: %t", name, audio, video, comes)
			}
			return nil
		}}
	}
	nothing := func(*sim.World) error { return nil }
	p := sim.Plan{Seed: 9, MaxParticipants: 3, People: people, Steps: []sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"}, sim.Pass{For: time.Second},
		between("in the lobby", false, func(w *sim.World) (err error) {
			if d, err = newDisplay(w, "wall"); err == nil {
				err = d.open()
			}
			return err
		}),
		sim.Admit{By: "doctor", Who: "wall"}, sim.Pass{For: time.Second},
		between("admitted", true, nothing),
		sim.Hold{By: "doctor", Who: "wall"}, sim.Pass{For: time.Second},
		between("on hold", false, nothing),
		sim.Unhold{By: "doctor", Who: "wall"}, sim.Pass{For: time.Second},
		between("back", true, nothing),
		sim.Do{Name: "restart", Func: func(*sim.World) error { return d.restart() }},
		sim.Pass{For: 40 * time.Second}, // longer than a connection lives whose checks fail
		between("40 s after an ICE restart", true, nothing),
		between("gone", false, func(*sim.World) error {
			if _, _, err := d.request("DELETE", d.resource, "", "", 200); err != nil {
				return err
			}
			_, _, err := d.request("DELETE", d.resource, "", "", 404)
			return err
		}),
		sim.Do{Name: "close", Func: func(*sim.World) error { return d.pc.GracefulClose() }},
	}}
	check(t, p, func(w *sim.World) {
		if sessions := w.Metric("bedside_sessions"); sessions != 1 {
			t.Errorf("%v sessions", sessions)
		}
	})
}
