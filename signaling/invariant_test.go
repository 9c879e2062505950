package signaling_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
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

// schedule is a random consultation of seven people on a server that is stopped and killed now and
// then.
type schedule struct {
	*visit
	rng     *rand.Rand
	live    []*client // by participant; nil while they are away
	resumes []string
	secrets []string // tokens that were given out: none may be in a log
	starts  int
}

// The names are canaries: they are for rosters, and for nothing else.
const sevenPeople = `"max_participants":7,"participants":[{"role":"clinician","display":"canary-1"},{"role":"patient","display":"canary-2"},
	{"role":"interpreter","display":"canary-3"},{"role":"carer","display":"canary-4","proxy_for":"p2"},{"role":"observer","display":"canary-5"},
	{"role":"clinician","display":"canary-6"},{"role":"device","display":"canary-7"}]`

func (s *schedule) step() {
	i, j := s.rng.IntN(len(s.live)), s.rng.IntN(len(s.live))
	if s.rng.IntN(2) == 0 {
		i = []int{0, 5}[s.rng.IntN(2)] // a clinician: the others may not do much
	}
	c, whom := s.live[i], s.Participants[j].ID
	switch command := s.rng.IntN(40); {
	case command == 0:
		s.stop([]func(*world){(*world).restart, (*world).crash}[s.rng.IntN(2)])
	case c == nil && command < 28:
		s.connect(i)
	case c == nil:
		s.advance(time.Duration(s.rng.IntN(150)) * time.Second)
	case command < 14:
		c.send(&wire.Admit{Participant: whom}, 1)
	case command < 18:
		c.drop()
		s.live[i] = nil
	case command < 20:
		c.send(&wire.Leave{}, 1)
		s.live[i], s.resumes[i] = nil, ""
	case command < 22:
		s.connect(i) // a second device
	case command < 25:
		c.send(&wire.Refuse{Participant: whom}, 1)
	case command < 29:
		c.send(&wire.Hold{Participant: whom}, 1)
	case command < 33:
		c.send(&wire.Unhold{Participant: whom}, 1)
	case command < 35:
		c.send(&wire.Leave{To: whom}, 1)
	case command == 35 && s.rng.IntN(4) == 0:
		c.send(&wire.Remove{Participant: whom}, 1)
	default:
		c.send(&wire.Say{To: []string{"", whom}[s.rng.IntN(2)], Kind: "chat", Body: "canary-chat"}, 1)
	}
	// Often not: then commands of several people meet in the server.
	if s.rng.IntN(3) > 0 {
		s.settle()
	}
}

func (s *schedule) stop(how func(*world)) {
	how(s.world)
	s.starts++
	clear(s.live)
}

func (s *schedule) connect(i int) {
	var j signaling.Joining
	join := &wire.Join{Resume: s.resumes[i]}
	if s.resumes[i] == "" || s.rng.IntN(2) == 0 {
		if status, _ := s.call("POST", "/v1/join", "", `{"invitation":"`+s.invitations[i]+`"}`, &j); status != 200 {
			return // removed
		}
		join = &wire.Join{Token: j.Token}
	}
	c := s.dial()
	c.send(join, 1)
	s.settle()
	s.live[i] = nil
	if joined, ok := c.last("joined").(*wire.Joined); ok {
		s.live[i], s.resumes[i] = c, joined.Resume
		s.secrets = append(s.secrets, joined.Resume)
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
	flowing := s.media.flowing(s.ID)
	for i, c := range s.live {
		if c == nil {
			continue
		}
		if _, code := c.ended(); code != 0 {
			s.live[i] = nil
			continue
		}
		in := slices.Contains(flowing, s.Participants[i].ID)
		if state := c.state(); in != (state == wire.StateAdmitted) {
			s.Errorf("%s is told %q, and media flows: %v", s.Participants[i].Role, state, in)
		}
		if !in {
			continue
		}
		for _, id := range flowing {
			if role := s.roles([]string{id}); !strings.Contains(c.see(), role+":admitted") {
				s.Errorf("media flows between %d and a %s whom they don't see: %q", i, role, c.see())
			}
		}
	}
}

// state is the last that a client was told of where it stands.
func (c *client) state() wire.State {
	var state wire.State
	for _, r := range c.all() {
		switch m := r.m.(type) {
		case *wire.Joined:
			state = m.State
		case *wire.StateChanged:
			state = m.State
		}
	}
	return state
}

// checkCanaries looks for what belongs nowhere but into rosters and messages.
func (s *schedule) checkCanaries() {
	page, err := s.audit.Read(s.Context(), audit.Query{})
	if err != nil {
		s.Fatal(err)
	}
	text := s.log.String() + s.metricsText() + fmt.Sprint(page.Records)
	for _, secret := range append(append(s.secrets, s.invitations...), "canary-", "127.0.0.1") {
		if strings.Contains(text, secret) {
			s.Errorf("%.20s… is in the log, the metrics or the audit log", secret)
		}
	}
	if len(page.Records) == 0 || !strings.Contains(text, s.ID) {
		s.Error("the log does not name the consultation: is this the log?")
	}
}

var schedules = flag.Uint64("schedules", 200, "how many seeded schedules TestInvariants plays")

// TestInvariants is no hidden subscriber, nothing to or from lobby and hold, and no personal data
// where it does not belong, in whatever order people do whatever they do.
func TestInvariants(t *testing.T) {
	var restarts, held atomic.Int64
	t.Run("schedules", func(t *testing.T) {
		for seed := range *schedules {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, withKeys)
					defer func() { w.close() }()
					s := &schedule{visit: w.open(sevenPeople), rng: rand.New(rand.NewPCG(seed, 1)),
						live: make([]*client, 7), resumes: make([]string, 7)}
					for range 60 {
						s.step()
						s.check()
					}
					s.checkCanaries()
					restarts.Add(int64(s.starts))
					for _, c := range w.clients {
						if hidden := hiddenSubscribers(c); len(hidden) > 0 {
							t.Errorf("media flowed to %v before the roster named them: %v", hidden, c.types())
						}
						if slices.Contains(c.types(), "state") && strings.Contains(fmt.Sprint(c.all()), "held") {
							held.Add(1)
						}
					}
				})
			})
		}
	})
	t.Logf("figure: %d schedules, %d restarts, %d sessions on hold, 0 violations", *schedules, restarts.Load(), held.Load())
	if *schedules >= 50 && (restarts.Load() == 0 || held.Load() == 0) {
		t.Error("the schedules do not do what they are to withstand")
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
		kept := 0
		err := w.store.Each(w.Context(), "consultations", func(e store.Entry) error {
			kept++
			for _, invitation := range v.invitations {
				if strings.Contains(e.Key+string(e.Value), invitation) {
					t.Error("an invitation is in the store")
				}
			}
			return nil
		})
		if err != nil || kept == 0 {
			t.Errorf("%d entries, %v", kept, err)
		}
		for _, id := range append([]string{v.ID}, v.Participants[0].ID) {
			if strings.Contains(w.metricsText(), id) {
				t.Errorf("%s is in the metrics", id)
			}
		}
	})
}
