package signaling_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

var errBroken = errors.New("broken")

func TestMediaEvents(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, interpreter := v.three()
		before := len(patient.all())
		e := w.media.events(v.Participants[1].ID)
		e.Slots(7, []sfu.Assignment{{Mid: "3", Peer: "p", Source: "camera", RTP: 9}, {Mid: "4", Peer: "p", Source: "mic", Muted: true}, {Mid: "5", RTP: 8}})
		e.Layers("1", nil, 40_000)
		e.Layers("1", []string{"q"}, 0)
		e.Speakers([]sfu.Level{{Peer: "p", Level: 80}})
		e.Transport(sfu.TransportConnected)
		e.Transport(sfu.TransportDisconnected)
		w.settle()
		var got []string
		for _, r := range patient.all()[before:] {
			got = append(got, r.raw)
		}
		want := []string{
			`{"type":"slots","epoch":7,"assignments":[{"mid":"3","participant":"p","source":"camera","state":"live","rtp":9},{"mid":"4","participant":"p","source":"mic","state":"muted","rtp":0},{"mid":"5","state":"empty","rtp":8}]}`,
			`{"type":"layers","mid":"1","active":[]}`,
			`{"type":"layers","mid":"1","active":["q"]}`,
			`{"type":"speakers","levels":[{"participant":"p","level":80}]}`,
			`{"type":"restart"}`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		e.Failed(sfu.FailedSSRCLimit)
		w.media.events(v.Participants[2].ID).Failed(sfu.FailedTransport)
		w.settle()
		patient.wantEnded("ssrc_limit", 1008)
		interpreter.wantEnded("media_failed", 1000)
		doctor.wantSee("clinician:admitted patient~:admitted interpreter~:admitted")
	})
}

func TestMediaRoomFails(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, interpreter := v.three()
		other := w.open(threePeople).enter(0)
		w.media.fail(nil, nil, errBroken)
		interpreter.drop()
		w.settle()
		// Nobody knows any more who hears whom: everybody is sent away and may come back.
		doctor.wantEnded("media_failed", 1000)
		patient.wantEnded("media_failed", 1000)
		w.media.fail(nil, nil, nil)
		other.wantAlive()
		w.advance(2 * time.Second)
		v.enter(0).wantSee("clinician:admitted")
	})
}

func TestNoMedia(t *testing.T) {
	for _, tt := range []struct {
		name             string
		open, join, then error
	}{
		{"the room cannot be opened", errBroken, nil, nil},
		{"the participant cannot join", nil, errBroken, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				v := w.open(threePeople)
				w.media.fail(tt.open, tt.join, nil)
				c := w.dial()
				c.send(&wire.Join{Token: v.token(0)}, 1)
				w.settle()
				c.wantEnded("unavailable", 1013)
				w.advance(2 * time.Second)
				w.media.fail(nil, nil, nil)
				v.enter(0).wantSee("clinician:admitted")
			})
		})
	}
}

// downStore is a store that can be down.
type downStore struct {
	store.Store
	down *atomic.Bool
}

func (s downStore) Get(ctx context.Context, b store.Bucket, key string) (store.Entry, error) {
	if s.down.Load() {
		return store.Entry{}, errBroken
	}
	return s.Store.Get(ctx, b, key)
}

func TestStoreIsDown(t *testing.T) {
	var down atomic.Bool
	change := func(_ *config.Signaling, d *signaling.Deps) { d.Store = downStore{d.Store, &down} }
	inWorld(t, change, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, interpreter := v.three()
		down.Store(true)
		if status, code := w.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[0]+`"}`, nil); status != 500 || code != "internal" {
			t.Errorf("join: %d %s, want 500 internal", status, code)
		}
		if status, code := w.call("GET", "/v1/consultations/"+v.ID, apiKey, "", nil); status != 500 || code != "internal" {
			t.Errorf("read: %d %s, want 500 internal", status, code)
		}
		// Running calls never depend on the store.
		doctor.send(&wire.Remove{Participant: v.Participants[2].ID}, 9)
		w.settle()
		if got := doctor.reply(9); got != "done" {
			t.Errorf("remove: %q, want done", got)
		}
		interpreter.wantEnded("removed", 1000)
		patient.wantAlive()
		doctor.wantAlive()
		resume := patient.last("joined").(*wire.Joined).Resume
		patient.drop()
		again := w.dial()
		again.send(&wire.Join{Resume: resume}, 1)
		w.settle()
		again.wantSee("clinician:admitted patient:admitted")
		if !strings.Contains(w.log.String(), "record not updated") {
			t.Error("the log does not say that the removal was not kept")
		}
	})
}

func TestPortalsMayJoin(t *testing.T) {
	change := func(c *config.Signaling, _ *signaling.Deps) { c.Origins = []string{"https://portal.example"} }
	for _, tt := range []struct{ origin, allowed string }{
		{"https://portal.example", "https://portal.example"}, {"https://evil.example", ""}, {"", ""},
	} {
		t.Run(tt.origin, func(t *testing.T) {
			inWorld(t, change, func(w *world) {
				for _, method := range []string{"OPTIONS", "POST"} {
					req, err := http.NewRequest(method, publicURL+"/v1/join", strings.NewReader(`{"invitation":"x"}`))
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Origin", tt.origin)
					req.Header.Set("Content-Type", "application/json")
					resp, err := w.client.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					_ = resp.Body.Close()
					if got := resp.Header.Get("Access-Control-Allow-Origin"); got != tt.allowed || resp.Header.Get("Vary") != "Origin" {
						t.Errorf("%s: allowed %q, vary %q; want %q, Origin", method, got, resp.Header.Get("Vary"), tt.allowed)
					}
					if got := resp.Header.Get("Access-Control-Expose-Headers") == "Retry-After"; got != (method == "POST" && tt.allowed != "") {
						t.Errorf("%s: may read Retry-After: %v", method, got)
					}
				}
			})
		})
	}
}

// TestServerRestarts keeps the store and the keys, as a configured server does.
func TestServerRestarts(t *testing.T) {
	kept := store.NewMap(100)
	var v *visit
	keep := func(c *config.Signaling, d *signaling.Deps) {
		withKey(c, d)
		c.InvitationSecret = config.NewSecret(tokenSeed)
		d.Store = kept
	}
	inWorld(t, keep, func(w *world) {
		v = w.open(`"external_id":"x",` + threePeople)
		v.three()
	})
	inWorld(t, keep, func(w *world) {
		v.world = w
		var again signaling.Consultation
		if status, _ := w.call("POST", "/v1/consultations", apiKey, `{"external_id":"x",`+threePeople+`}`, &again); status != 200 || again.ID != v.ID || !slices.Equal(again.Participants, v.Participants) {
			t.Errorf("after a restart: %d %+v", status, again)
		}
		v.enter(1).wantSee("patient:waiting")
	})
}
