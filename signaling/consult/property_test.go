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
	spec     consult.Spec
	alone    time.Time // since when people were seen together without a clinician
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
	s.People = append(s.People, consult.Person{ID: "obs", Role: wire.RoleObserver}, consult.Person{ID: "dev", Role: wire.RoleDevice},
		consult.Person{ID: "mon", Role: wire.RoleDevice, Watch: true})
	c, err := consult.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return &walk{T: t, c: c, spec: s, rng: rand.New(rand.NewPCG(seed, 2)), now: start,
		sessions: map[string]string{}, lost: map[string]time.Time{}, dead: map[string]bool{}}
}

var everybody = []string{"doc", "pat", "int", "car", "doc2", "obs", "dev", "mon"}

// step does one random thing and reports whose entry into the room it may bring about.
func (w *walk) step() (mayEnter []string) {
	id, other := everybody[w.rng.IntN(len(everybody))], everybody[w.rng.IntN(len(everybody))]
	w.now = w.now.Add(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
	var e consult.Effects
	var err error
	command := w.rng.IntN(24)
	switch {
	case command < 8:
		return w.connect(id)
	case command < 10:
		if w.c.State(id) == wire.StateAdmitted && slices.Contains(w.c.Admitted(), id) {
			w.lost[id] = w.now
		}
		e = w.c.Disconnect(w.now, id, w.sessions[id])
	case command < 15:
		mayEnter = w.decided(id, other)
		e, err = w.c.Admit(w.now, id, other)
	case command < 16:
		e, err = w.c.Refuse(w.now, id, other)
	case command < 17:
		e, err = w.c.Leave(w.now, id, w.sessions[id], "")
	case command < 18:
		e, err = w.c.Leave(w.now, id, w.sessions[id], other)
	case command < 19:
		w.c.Mute(id, wire.SourceMic, w.rng.IntN(2) == 0)
	case command < 20:
		e, err = w.c.Hold(id, other)
	case command < 22:
		mayEnter = w.decided(id, other)
		e, err = w.c.Unhold(id, other)
	case w.rng.IntN(20) == 0:
		w.restart()
	default:
		w.now = w.now.Add(time.Duration(w.rng.IntN(120)) * time.Second)
		e = w.c.Tick(w.now)
		w.checkAlone()
	}
	fmt.Fprintln(&w.trace, w.now, command, id, other, e, err)
	w.checkEvents(e, err)
	w.bury(e)
	return mayEnter
}

// decided is whom a clinician's word brings into the room: the one named, and a patient's
// device unless it watches.
func (w *walk) decided(by, whom string) []string {
	switch {
	case !strings.HasPrefix(by, "doc") || !slices.Contains(w.c.Admitted(), by):
		return nil
	case whom == "pat":
		return []string{whom, "dev"}
	}
	return []string{whom}
}

// restart is a server that stops and starts: the rules begin anew with what was kept.
func (w *walk) restart() {
	seats, admitted := w.c.Seats(), w.c.Admitted()
	c, err := consult.New(w.spec)
	if err != nil {
		w.Fatal(err)
	}
	c.Restore(w.now, w.now.Add(consult.Grace), seats)
	w.c = c
	for _, id := range admitted {
		w.lost[id] = w.now
	}
	if got := c.Admitted(); len(got) > 0 {
		w.Errorf("%v exchange media though nobody is connected", got)
	}
}

// checkAlone is after a Tick: without a clinician nobody stays together longer than HoldAfter.
func (w *walk) checkAlone() {
	admitted := w.c.Admitted()
	if slices.ContainsFunc(admitted, func(id string) bool { return strings.HasPrefix(id, "doc") }) || len(admitted) == 0 {
		w.alone = time.Time{}
		return
	}
	if w.alone.IsZero() {
		w.alone = w.now
	}
	if w.now.Sub(w.alone) >= consult.HoldAfter {
		w.Errorf("%v are together since %v, at least, without a clinician", admitted, w.alone)
	}
}

// checkEvents wants a note of everything that changes, and a grant to be called one.
func (w *walk) checkEvents(e consult.Effects, err error) {
	if err != nil && (len(e.Events) > 0 || len(e.Ended) > 0 || len(e.Moved) > 0) {
		w.Errorf("refused with %v, but %+v", err, e)
	}
	noted := func(id string) bool {
		return slices.ContainsFunc(e.Events, func(v consult.Event) bool { return v.Subject == id })
	}
	for _, id := range e.Moved {
		if !noted(id) {
			w.Errorf("%s moved without an event: %+v", id, e)
		}
	}
	for _, id := range e.Ended {
		if e.Over == "" && !noted(id.Participant) {
			w.Errorf("the session of %s ended without an event: %+v", id.Participant, e)
		}
	}
	for _, v := range e.Events {
		if grant := v.Name == consult.EventAdmitted || v.Name == consult.EventResumed || v.Name == consult.EventJoined; grant && !e.Grants {
			w.Errorf("%+v is not called a grant", e)
		}
	}
}

func (w *walk) connect(id string) (mayEnter []string) {
	w.made++
	cmd := consult.Connect{Participant: id, Session: fmt.Sprint("s", w.made)}
	if w.rng.IntN(2) == 0 {
		cmd.Resume = w.sessions[id]
	}
	wasIn := slices.Contains(w.c.Admitted(), id)
	_, wasLost := w.lost[id]
	wasHeld := w.c.State(id) == wire.StateHeld
	e, err := w.c.Connect(w.now, cmd)
	fmt.Fprintln(&w.trace, w.now, "connect", cmd, e, err)
	w.checkEvents(e, err)
	if err != nil {
		return nil
	}
	w.bury(e)
	w.sessions[id] = cmd.Session
	delete(w.lost, id)
	if wasHeld && cmd.Resume != "" && w.c.State(id) != wire.StateHeld {
		w.Errorf("%s was on hold and came back %s", id, w.c.State(id))
	}
	// Tick comes at random, so a place may lapse later than Grace here; TestGrace has the instant.
	switch {
	case strings.HasPrefix(id, "doc"), cmd.Resume != "" && (wasIn || wasLost),
		id == "dev" && w.c.State("pat") == wire.StateAdmitted:
		return []string{id}
	}
	return nil
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
func (w *walk) check(before, mayEnter []string) {
	admitted := w.c.Admitted()
	if slices.Contains(admitted, "doc") || slices.Contains(admitted, "doc2") {
		w.alone = time.Time{}
	}
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
		if in && !wasIn && !slices.Contains(mayEnter, id) {
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
