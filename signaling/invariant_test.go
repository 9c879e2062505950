package signaling_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

// hiddenSubscribers replays what one session was told and returns every participant who was in one
// of its slots without having been in the room, connected, in the roster before. As the fake media
// plane puts everybody who gets this session's media into its slots, that is the invariant "no
// hidden subscriber" as a client sees it.
func hiddenSubscribers(c *client) []string {
	var hidden, known []string
	for _, r := range c.all() {
		var people []wire.Participant
		switch m := r.m.(type) {
		case *wire.Joined:
			people = m.Roster
		case *wire.Roster:
			people = m.Participants
		case *wire.Slots:
			for _, a := range m.Assignments {
				if !slices.Contains(known, a.Participant) {
					hidden = append(hidden, a.Participant)
				}
			}
			continue
		default:
			continue
		}
		known = nil
		for _, p := range people {
			if p.State == wire.StateAdmitted && p.Connected {
				known = append(known, p.ID)
			}
		}
	}
	return hidden
}

// schedule is a random consultation of six people.
type schedule struct {
	*visit
	rng     *rand.Rand
	live    []*client // by participant; nil while they are away
	resumes []string
}

const sixPeople = `"max_participants":6,"participants":[{"role":"clinician"},{"role":"patient"},{"role":"interpreter"},{"role":"carer"},{"role":"observer"},{"role":"clinician"}]`

func (s *schedule) step() {
	i, j := s.rng.IntN(len(s.live)), s.rng.IntN(len(s.live))
	c := s.live[i]
	switch command := s.rng.IntN(10); {
	case c == nil && command < 7:
		s.connect(i)
	case c == nil:
		s.advance(time.Duration(s.rng.IntN(40)) * time.Second)
	case command < 5:
		c.send(&wire.Admit{Participant: s.Participants[j].ID}, 1)
	case command < 6:
		c.drop()
		s.live[i] = nil
	case command < 7:
		c.send(&wire.Leave{}, 1)
		s.live[i], s.resumes[i] = nil, ""
	case command < 8:
		s.connect(i) // a second device
	case command < 9:
		c.send(&wire.Refuse{Participant: s.Participants[j].ID}, 1)
	default:
		c.send(&wire.Say{Kind: "chat", Body: "x"}, 1)
	}
	// Often not: then commands of several people meet in the server.
	if s.rng.IntN(3) > 0 {
		s.settle()
	}
}

func (s *schedule) connect(i int) {
	c := s.dial()
	join := &wire.Join{Resume: s.resumes[i]}
	if s.resumes[i] == "" || s.rng.IntN(2) == 0 {
		join = &wire.Join{Token: s.token(i)}
	}
	c.send(join, 1)
	s.settle()
	s.live[i] = nil
	if joined, ok := c.last("joined").(*wire.Joined); ok {
		s.live[i], s.resumes[i] = c, joined.Resume
	} else {
		s.resumes[i] = ""
	}
	for k, other := range s.live {
		if other != nil {
			if _, code := other.ended(); code != 0 {
				s.live[k] = nil
			}
		}
	}
}

// check compares what everybody has been told with what the media plane does, once all is quiet.
func (s *schedule) check() {
	s.settle()
	for i, c := range s.live {
		if c == nil {
			continue
		}
		if _, code := c.ended(); code != 0 {
			s.live[i] = nil
			continue
		}
		if !slices.Contains(s.media.flowing(s.ID), s.Participants[i].ID) {
			continue
		}
		for _, id := range s.media.flowing(s.ID) {
			if role := string(s.Participants[slices.IndexFunc(s.Participants, func(p signaling.Participant) bool { return p.ID == id })].Role); !strings.Contains(c.see(), role+":admitted") {
				s.Errorf("media flows between %d and a %s whom they don't see: %q", i, role, c.see())
			}
		}
	}
}

var schedules = flag.Uint64("schedules", 50, "how many seeded schedules TestNoHiddenSubscriber plays")

func TestNoHiddenSubscriber(t *testing.T) {
	for seed := range *schedules {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.close()
				s := &schedule{visit: w.open(sixPeople), rng: rand.New(rand.NewPCG(seed, 1)),
					live: make([]*client, 6), resumes: make([]string, 6)}
				for range 60 {
					s.step()
					s.check()
				}
				for _, c := range w.clients {
					if hidden := hiddenSubscribers(c); len(hidden) > 0 {
						t.Errorf("media flowed to %v before the roster named them: %v", hidden, c.types())
					}
				}
			})
		})
	}
}

func TestCanaries(t *testing.T) {
	inWorld(t, withKey, func(w *world) {
		const canary = "canary-4e1c"
		people := fmt.Sprintf(`"external_id":"%[1]s-ext","participants":[{"role":"clinician","display":"%[1]s-d1","ref":"%[1]s-r1"},{"role":"patient","display":"%[1]s-d2","ref":"%[1]s-r2"},{"role":"interpreter","display":"%[1]s-d3"}]`, canary)
		v := w.open(people)
		tokens := []string{v.token(1)}
		doctor, patient, _ := v.three()
		tokens = append(tokens, patient.last("joined").(*wire.Joined).Resume)
		patient.send(&wire.Offer{SDP: canary + "-sdp"}, 7)
		patient.send(&wire.Offer{SDP: "crash " + canary + "-sdp"}, 11)
		patient.send(&wire.Say{Kind: "chat", Body: canary + "-chat"}, 8)
		patient.send(&wire.Mute{Mid: canary + "-mid"}, 9)
		doctor.send(&wire.Admit{Participant: canary + "-pid"}, 9)
		doctor.sendRaw(1, []byte(`{"type":"`+canary+`-type","`+canary+`-field":1}`))
		doctor.sendRaw(1, []byte(`{"type":"admit","`+canary+`-field":1}`))
		bad := w.dial()
		bad.send(&wire.Join{Token: canary + "-token", Client: canary + "-client"}, 1)
		_, _, _ = w.tryDial("/v1/connect?token="+canary+"-url", nil)
		w.call("POST", "/v1/join", "", `{"invitation":"`+canary+`-inv"}`, nil)
		w.call("POST", "/v1/consultations", apiKey, `{"participants":[{"role":"`+canary+`-role"}]}`, nil)
		w.call("POST", "/v1/consultations", canary+"-key", `{}`, nil)
		w.settle()
		patient.drop()
		doctor.send(&wire.End{}, 10)
		w.settle()
		if !strings.Contains(w.log.String(), v.ID) {
			t.Error("the log does not name the consultation: is this the log?")
		}
		secrets := append([]string{canary, apiKey, "127.0.0.1"}, tokens...)
		for _, secret := range append(secrets, v.invitations...) {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("%.20s… is in the log", secret)
			}
			if strings.Contains(w.metricsText(), secret) {
				t.Errorf("%.20s… is in the metrics", secret)
			}
		}
		// Whoever reads the store learns names, which it is there to keep, but gets in nowhere.
		for _, bucket := range []store.Bucket{"consultations", "invitations"} {
			kept := 0
			err := w.store.Each(w.Context(), bucket, func(e store.Entry) error {
				kept++
				for _, invitation := range v.invitations {
					if strings.Contains(e.Key+string(e.Value), invitation) {
						t.Errorf("an invitation is in the store, in %s", bucket)
					}
				}
				return nil
			})
			if err != nil || kept == 0 {
				t.Errorf("%s: %d entries, %v", bucket, kept, err)
			}
		}
		for _, id := range append([]string{v.ID}, v.Participants[0].ID) {
			if strings.Contains(w.metricsText(), id) {
				t.Errorf("%s is in the metrics", id)
			}
		}
	})
}
