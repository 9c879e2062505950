package consult_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// A walk is a random schedule of commands, with what it needs to judge every step from outside.
type walk struct {
	*testing.T
	c        *consult.Consultation
	rng      *rand.Rand
	now      time.Time
	sessions map[string]string    // participant -> their last session
	lost     map[string]time.Time // participant -> when their admitted connection was lost
	dead     map[string]bool      // sessions that were ended
	made     int
	trace    strings.Builder
}

const maxHere = 4

func newWalk(t *testing.T, seed uint64) *walk {
	s := spec()
	s.Policy.MaxParticipants = maxHere
	s.People = append(s.People, consult.Person{ID: "obs", Role: wire.RoleObserver}, consult.Person{ID: "dev", Role: wire.RoleDevice})
	c, err := consult.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return &walk{T: t, c: c, rng: rand.New(rand.NewPCG(seed, 2)), now: start,
		sessions: map[string]string{}, lost: map[string]time.Time{}, dead: map[string]bool{}}
}

var everybody = []string{"doc", "pat", "int", "car", "doc2", "obs", "dev"}

// step does one random thing and reports whose admission it may bring about.
func (w *walk) step() (mayEnter string) {
	id, other := everybody[w.rng.IntN(len(everybody))], everybody[w.rng.IntN(len(everybody))]
	w.now = w.now.Add(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
	var e consult.Effects
	var err error
	command := w.rng.IntN(20)
	switch {
	case command < 8:
		return w.connect(id)
	case command < 10:
		if w.c.State(id) == wire.StateAdmitted && slices.Contains(w.c.Admitted(), id) {
			w.lost[id] = w.now
		}
		w.c.Disconnect(w.now, id, w.sessions[id])
	case command < 15:
		if strings.HasPrefix(id, "doc") && slices.Contains(w.c.Admitted(), id) {
			mayEnter = other
		}
		e, err = w.c.Admit(w.now, id, other)
	case command < 16:
		e, err = w.c.Refuse(id, other)
	case command < 18:
		e = w.c.Leave(id, w.sessions[id])
	case command < 19:
		w.c.Mute(id, wire.SourceMic, w.rng.IntN(2) == 0)
	default:
		e = w.c.Tick(w.now)
	}
	fmt.Fprintln(&w.trace, w.now, command, id, other, e, err)
	w.bury(e)
	return mayEnter
}

func (w *walk) connect(id string) (mayEnter string) {
	w.made++
	cmd := consult.Connect{Participant: id, Session: fmt.Sprint("s", w.made)}
	if w.rng.IntN(2) == 0 {
		cmd.Resume = w.sessions[id]
	}
	wasIn := slices.Contains(w.c.Admitted(), id)
	_, wasLost := w.lost[id]
	e, err := w.c.Connect(w.now, cmd)
	fmt.Fprintln(&w.trace, w.now, "connect", cmd, e, err)
	if err != nil {
		return ""
	}
	w.bury(e)
	w.sessions[id] = cmd.Session
	delete(w.lost, id)
	// Tick comes at random, so a place may lapse later than Grace here; TestGrace has the instant.
	if strings.HasPrefix(id, "doc") || cmd.Resume != "" && (wasIn || wasLost) {
		return id
	}
	return ""
}

func (w *walk) bury(e consult.Effects) {
	for _, ended := range e.Ended {
		if w.dead[ended.Session] {
			w.Errorf("session %s ended twice", ended.Session)
		}
		if ended.Session != w.sessions[ended.Participant] {
			w.Errorf("session %s ended, but %s has %s", ended.Session, ended.Participant, w.sessions[ended.Participant])
		}
		w.dead[ended.Session] = true
		delete(w.lost, ended.Participant)
	}
}

// check compares what everybody sees and gets with the rules.
func (w *walk) check(before []string, mayEnter string) {
	admitted := w.c.Admitted()
	here := 0
	for _, id := range everybody {
		in, wasIn := slices.Contains(admitted, id), slices.Contains(before, id)
		state := w.c.State(id)
		if state != "" {
			here++
		}
		if in && state != wire.StateAdmitted {
			w.Errorf("%s gets media in state %q", id, state)
		}
		if in && !wasIn && id != mayEnter {
			w.Errorf("%s entered, admitted by nobody", id)
		}
		for _, line := range w.c.Roster(id).Participants {
			switch {
			case line.ID == id:
			case !in:
				w.Errorf("%s is not in the room and sees %s", id, line.ID)
			case line.State == wire.StateWaiting && !strings.HasPrefix(id, "doc"):
				w.Errorf("%s sees that %s waits", id, line.ID)
			}
		}
		for _, peer := range admitted {
			if in && !slices.ContainsFunc(w.c.Roster(id).Participants, func(p wire.Participant) bool { return p.ID == peer }) {
				w.Errorf("%s exchanges media with %s, who is not in their roster", id, peer)
			}
		}
	}
	if here > maxHere {
		w.Errorf("%d are here, at most %d may be", here, maxHere)
	}
}

func run(t *testing.T, seed uint64) string {
	w := newWalk(t, seed)
	for range 1000 {
		before := w.c.Admitted()
		mayEnter := w.step()
		w.check(before, mayEnter)
		if t.Failed() {
			t.Fatalf("seed %d, after:\n%s", seed, last(w.trace.String(), 10))
		}
	}
	return w.trace.String()
}

func last(trace string, n int) string {
	lines := strings.Split(strings.TrimSpace(trace), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func TestRandomSchedules(t *testing.T) {
	for seed := range uint64(20) {
		run(t, seed)
	}
}

func TestSchedulesRepeat(t *testing.T) {
	if first, second := run(t, 1), run(t, 1); first != second {
		t.Error("two runs of one seed differ")
	}
}
