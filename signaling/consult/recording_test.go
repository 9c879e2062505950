package consult_test

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

const notice = "2026_11"

// taped is a consultation that may be recorded: clinician, patient and interpreter in the room, and the
// patient's device.
func taped(t *testing.T, policy string, change func(*consult.Spec)) *play {
	t.Helper()
	p := newPlay(t, func(s *consult.Spec) {
		s.Notice, s.Policy.Recording = notice, policy
		s.People = append(s.People, consult.Person{ID: "dev", Role: wire.RoleDevice}, consult.Person{ID: "obs", Role: wire.RoleObserver})
		if change != nil {
			change(s)
		}
	})
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	p.connect("int", "s3", "")
	p.connect("dev", "s4", "")
	if policy == wire.PolicyRequired {
		p.says("pat", wire.ConsentGranted)
		p.says("int", wire.ConsentGranted)
	}
	p.admit("doc", "pat")
	p.admit("doc", "int")
	return p
}

func (p *play) says(id string, d wire.Decision) consult.Effects {
	p.Helper()
	return p.did(p.c.Consent(p.now, id, d, notice))
}

func (p *play) request(by string) consult.Effects {
	p.Helper()
	return p.did(p.c.RequestRecording(p.now, by))
}

// wantRecording takes the steps that follow and wants that to be the result.
func (p *play) wantRecording(state wire.RecordingState, reason string, captured ...string) consult.Effects {
	p.Helper()
	e := p.c.Record(p.now)
	if r := p.c.Recording("doc"); r.State != state || r.Reason != reason {
		p.Errorf("recording is %s %q, want %s %q", r.State, r.Reason, state, reason)
	}
	if got := p.c.Captured(); !slices.Equal(got, captured) {
		p.Errorf("captured %v, want %v", got, captured)
	}
	return e
}

func TestRecording(t *testing.T) {
	p := taped(t, wire.PolicyAsk, nil)
	p.wantRecording(wire.RecordingOff, "")
	e := p.request("doc")
	if want := []consult.Event{{consult.EventConsentGranted, "doc", "doc", notice}, {consult.EventConsentRequested, "doc", "", notice}}; !e.Grants || !slices.Equal(e.Events, want) {
		t.Errorf("request: %+v", e)
	}
	p.wantRecording(wire.RecordingRequested, "")
	for viewer, want := range map[string]wire.Recording{
		"doc": {State: wire.RecordingRequested, Notice: notice, Missing: []string{"pat", "int"}, Consent: wire.ConsentGranted},
		"pat": {State: wire.RecordingRequested, Notice: notice, Missing: []string{"pat"}},
		"dev": {State: wire.RecordingRequested, Notice: notice},
	} {
		if got := p.c.Recording(viewer); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is told %+v, want %+v", viewer, got, want)
		}
	}
	p.says("pat", wire.ConsentGranted)
	p.wantRecording(wire.RecordingRequested, "")
	p.says("int", wire.ConsentGranted)
	p.wantRecording(wire.RecordingRequested, "") // the recorder is not ready
	p.c.RecorderReady()
	e = p.wantRecording(wire.RecordingOn, "", "doc", "pat", "int", "dev")
	if want := []consult.Event{{consult.EventRecordingStarted, "doc", "", ""}}; !e.Grants || !slices.Equal(e.Events, want) {
		t.Errorf("start: %+v", e)
	}
	e = p.did(p.c.StopRecording("doc"))
	if want := []consult.Event{{consult.EventRecordingStopped, "doc", "", wire.RecordingStopped}}; e.Grants || !slices.Equal(e.Events, want) {
		t.Errorf("stop: %+v", e)
	}
	p.wantRecording(wire.RecordingOff, wire.RecordingStopped)
	// Consent is to the consultation: the next request asks nobody again.
	p.request("doc")
	p.c.RecorderReady()
	p.wantRecording(wire.RecordingOn, "", "doc", "pat", "int", "dev")
	p.c.Close(p.now, wire.EndedWindowClosed)
	e = p.wantRecording(wire.RecordingOff, wire.EndedWindowClosed)
	if want := []consult.Event{{consult.EventRecordingStopped, "", "", wire.EndedWindowClosed}}; !slices.Equal(e.Events, want) {
		t.Errorf("the end: %+v", e)
	}
}

// running is a recording that everybody has agreed to.
func running(t *testing.T, change func(*consult.Spec)) *play {
	t.Helper()
	p := taped(t, wire.PolicyAsk, change)
	p.request("doc")
	p.says("pat", wire.ConsentGranted)
	p.says("int", wire.ConsentGranted)
	p.c.RecorderReady()
	p.wantRecording(wire.RecordingOn, "", "doc", "pat", "int", "dev")
	return p
}

// What pauses a recording, and what makes it go on.
func TestRecordingPauses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pause  func(p *play)
		reason string
		resume func(p *play)
		then   []string
	}{
		{"somebody withdraws",
			func(p *play) { p.says("pat", wire.ConsentWithdrawn) }, wire.RecordingWithdrawn,
			func(p *play) { p.says("pat", wire.ConsentGranted) }, []string{"doc", "pat", "int", "dev"}},
		{"a clinician joins",
			func(p *play) { p.connect("doc2", "s5", "") }, wire.RecordingJoined,
			func(p *play) { p.says("doc2", wire.ConsentGranted) }, []string{"doc", "pat", "int", "doc2", "dev"}},
		{"somebody is admitted",
			func(p *play) { p.connect("car", "s5", ""); p.admit("doc", "car") }, wire.RecordingJoined,
			func(p *play) { p.leave("car", "s5", "") }, []string{"doc", "pat", "int", "dev"}},
		{"who says no",
			func(p *play) { p.connect("doc2", "s5", ""); p.says("doc2", wire.ConsentDenied) }, wire.RecordingWithdrawn,
			func(p *play) { p.did(p.c.Remove(p.now, "doc", "doc2")) }, []string{"doc", "pat", "int", "dev"}},
		{"who withdraws is put on hold",
			func(p *play) { p.says("pat", wire.ConsentWithdrawn) }, wire.RecordingWithdrawn,
			func(p *play) { p.did(p.c.Hold("doc", "pat")) }, []string{"doc", "int"}},
		{"and is asked again",
			func(p *play) { p.says("pat", wire.ConsentWithdrawn) }, wire.RecordingWithdrawn,
			func(p *play) {
				p.request("doc")
				p.wantRecording(wire.RecordingPaused, wire.RecordingJoined)
				p.says("pat", wire.ConsentGranted)
			}, []string{"doc", "pat", "int", "dev"}},
		{"the last clinician loses the connection",
			func(p *play) { p.c.Disconnect(p.now, "doc", "s1") }, wire.RecordingClinicianAbsent,
			func(p *play) { p.connect("doc", "s5", "s1") }, []string{"doc", "pat", "int", "dev"}},
		{"the disk is full",
			func(p *play) { p.c.RecorderFails(wire.RecordingStorage) }, wire.RecordingStorage,
			func(p *play) { p.c.RecorderFails("") }, []string{"doc", "pat", "int", "dev"}},
		{"another device with the same link",
			func(p *play) { p.connect("pat", "s5", ""); p.admit("doc", "pat") }, wire.RecordingJoined,
			func(p *play) { p.says("pat", wire.ConsentGranted) }, []string{"doc", "pat", "int", "dev"}},
		{"a new notice",
			func(p *play) {
				s := spec()
				s.Notice, s.Policy.Recording = "2026_12", wire.PolicyAsk
				if err := p.c.Change(s); err != nil {
					p.Fatal(err)
				}
			}, wire.RecordingJoined,
			func(p *play) {
				_, err := p.c.Consent(p.now, "pat", wire.ConsentGranted, notice)
				p.wantCode(err, wire.CodeNoticeOutdated)
				for _, id := range []string{"doc", "pat", "int"} {
					p.did(p.c.Consent(p.now, id, wire.ConsentGranted, "2026_12"))
				}
			}, []string{"doc", "pat", "int", "dev"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := running(t, nil)
			tt.pause(p)
			if got := p.c.Captured(); got != nil {
				t.Errorf("%v are captured before anybody knows why not", got)
			}
			e := p.wantRecording(wire.RecordingPaused, tt.reason)
			if want := []consult.Event{{consult.EventRecordingPaused, "", "", tt.reason}}; e.Grants || !slices.Equal(e.Events, want) {
				t.Errorf("pause: %+v", e)
			}
			tt.resume(p)
			if got := p.c.Captured(); got != nil {
				t.Errorf("%v are captured before it is written down", got)
			}
			e = p.wantRecording(wire.RecordingOn, "", tt.then...)
			if want := []consult.Event{{consult.EventRecordingResumed, "", "", ""}}; !e.Grants || !slices.Equal(e.Events, want) {
				t.Errorf("resume: %+v", e)
			}
		})
	}
}

// What does not pause one.
func TestRecordingGoesOn(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(p *play)
		then []string
	}{
		{"an observer, who sends nothing", func(p *play) { p.connect("obs", "s5", ""); p.admit("doc", "obs") }, []string{"doc", "pat", "int", "dev"}},
		{"somebody waits", func(p *play) { p.connect("car", "s5", "") }, []string{"doc", "pat", "int", "dev"}},
		{"a lost connection", func(p *play) { p.c.Disconnect(p.now, "pat", "s2") }, []string{"doc", "int", "dev"}},
		{"and back by resuming", func(p *play) { p.c.Disconnect(p.now, "pat", "s2"); p.connect("pat", "s5", "s2") }, []string{"doc", "pat", "int", "dev"}},
		{"consent given while waiting", func(p *play) {
			p.connect("car", "s5", "")
			p.says("car", wire.ConsentGranted)
			p.admit("doc", "car")
		}, []string{"doc", "pat", "int", "car", "dev"}},
		{"the patient goes, and with them what their device sends", func(p *play) { p.leave("pat", "s2", "") }, []string{"doc", "int"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := running(t, nil)
			tt.do(p)
			p.wantRecording(wire.RecordingOn, "", tt.then...)
		})
	}
}

func TestRecordingRequestFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(p *play)
		want string
	}{
		{"somebody says no", func(p *play) { p.says("pat", wire.ConsentDenied) }, wire.RecordingDenied},
		{"somebody says nothing", func(p *play) { p.c.RecorderReady(); p.now = p.now.Add(consult.RequestTimeout) }, wire.RecordingUnanswered},
		{"the recorder says nothing", func(p *play) { p.now = p.now.Add(consult.RequestTimeout) }, wire.RecordingUnavailable},
		{"the recorder cannot", func(p *play) { p.c.RecorderFails(wire.RecordingStorage) }, wire.RecordingUnavailable},
		{"the clinician has thought better", func(p *play) { p.did(p.c.StopRecording("doc")) }, wire.RecordingStopped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := taped(t, wire.PolicyAsk, nil)
			p.request("doc")
			if got, want := p.c.Next(), p.now.Add(consult.RequestTimeout); !got.Equal(want) {
				t.Errorf("due at %v, want %v", got, want)
			}
			tt.do(p)
			p.wantRecording(wire.RecordingOff, tt.want)
			p.c.RecorderReady() // late
			p.wantRecording(wire.RecordingOff, tt.want)
		})
	}
}

func TestRecordingRefusals(t *testing.T) {
	p := taped(t, wire.PolicyAsk, nil)
	_, err := p.c.RequestRecording(p.now, "pat")
	p.wantCode(err, wire.CodeForbidden)
	_, err = p.c.StopRecording("pat")
	p.wantCode(err, wire.CodeForbidden)
	_, err = p.c.Consent(p.now, "dev", wire.ConsentGranted, notice)
	p.wantCode(err, wire.CodeForbidden)
	_, err = p.c.Consent(p.now, "car", wire.ConsentGranted, notice)
	p.wantCode(err, wire.CodeNotAdmitted)
	_, err = p.c.Consent(p.now, "pat", "perhaps", notice)
	p.wantCode(err, wire.CodeBadMessage)
	p = taped(t, wire.PolicyNever, nil)
	_, err = p.c.RequestRecording(p.now, "doc")
	p.wantCode(err, wire.CodeRecordingForbidden)
	_, err = p.c.Consent(p.now, "pat", wire.ConsentGranted, notice)
	p.wantCode(err, wire.CodeRecordingForbidden)
	p.wantRecording(wire.RecordingOff, "")
	s := spec()
	s.Policy.Recording = "always"
	if _, err := consult.New(s); err == nil {
		t.Error("an unknown policy is taken")
	}
}

// Nobody is admitted who has not agreed to what is required, and it begins by itself.
func TestRequiredRecording(t *testing.T) {
	p := newPlay(t, func(s *consult.Spec) { s.Notice, s.Policy.Recording = notice, wire.PolicyRequired })
	p.connect("doc", "s1", "")
	p.wantRecording(wire.RecordingOff, "")
	p.connect("pat", "s2", "")
	_, err := p.c.Admit(p.now, "doc", "pat")
	p.wantCode(err, wire.CodeConsentRequired)
	if got := p.c.Recording("pat"); !slices.Equal(got.Missing, []string{"pat"}) {
		t.Errorf("who waits is told %+v", got)
	}
	p.says("pat", wire.ConsentGranted)
	p.admit("doc", "pat")
	p.wantRecording(wire.RecordingRequested, "")
	p.c.RecorderReady()
	p.wantRecording(wire.RecordingRequested, "")
	p.says("doc", wire.ConsentGranted)
	p.wantRecording(wire.RecordingOn, "", "doc", "pat")
	p.says("pat", wire.ConsentWithdrawn) // and the consultation goes on
	p.wantRecording(wire.RecordingPaused, wire.RecordingWithdrawn)
	p.wantAdmitted("doc", "pat")
	p.did(p.c.StopRecording("doc"))
	p.wantRecording(wire.RecordingOff, wire.RecordingStopped)
	p.wantRecording(wire.RecordingOff, wire.RecordingStopped)
}

func TestRequiredWithoutALobby(t *testing.T) {
	p := newPlay(t, func(s *consult.Spec) {
		s.Notice, s.Policy.Recording, s.Policy.Lobby = notice, wire.PolicyRequired, false
	})
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	p.wantAdmitted("doc")
	if e := p.says("pat", wire.ConsentGranted); !e.Grants || !slices.Equal(e.Moved, []string{"pat"}) {
		t.Errorf("%+v", e)
	}
	p.wantAdmitted("doc", "pat")
}

func TestGuardianConsents(t *testing.T) {
	p := newPlay(t, func(s *consult.Spec) {
		s.Notice, s.Policy.Recording = notice, wire.PolicyAsk
		s.People[3].Proxy, s.People[3].For = true, "pat"
	})
	p.connect("doc", "s1", "")
	p.connect("pat", "s2", "")
	p.connect("car", "s3", "")
	p.admit("doc", "pat")
	p.admit("doc", "car")
	p.request("doc")
	p.c.RecorderReady()
	p.wantRecording(wire.RecordingRequested, "")
	p.says("car", wire.ConsentGranted)
	p.wantRecording(wire.RecordingOn, "", "doc", "pat", "car")
	p.says("pat", wire.ConsentWithdrawn) // a child's no counts
	p.wantRecording(wire.RecordingPaused, wire.RecordingWithdrawn)
	p.says("pat", wire.ConsentGranted)
	p.says("car", wire.ConsentWithdrawn)
	p.wantRecording(wire.RecordingPaused, wire.RecordingWithdrawn)
	p.says("car", wire.ConsentGranted)
	p.wantRecording(wire.RecordingOn, "", "doc", "pat", "car")
}

func TestConsentOutlivesARestart(t *testing.T) {
	p := running(t, nil)
	seats := p.c.Seats()
	for version, want := range map[string]wire.Decision{notice: wire.ConsentGranted, "2026_12": ""} {
		n := newPlay(t, func(s *consult.Spec) { s.Notice, s.Policy.Recording = version, wire.PolicyAsk })
		n.now = p.now
		n.c.Restore(n.now, n.now.Add(consult.Grace), seats)
		n.connect("doc", "t1", "s1")
		n.connect("pat", "t2", "s2")
		n.wantRecording(wire.RecordingOff, "")
		if got := n.c.Recording("pat").Consent; got != want {
			t.Errorf("notice %s: the patient's consent is %q, want %q", version, got, want)
		}
	}
}

// node is one state of a small consultation, and what was seen of it from outside.
type node struct {
	c      *consult.Consultation
	said   map[string]wire.Decision // in the session that they have now
	asked  bool                     // by a clinician, since it was off
	broken bool                     // the recorder
	path   []string
}

// Every path: all states that a clinician, a patient, a guardian and a device can reach by these commands,
// in any order, and in each of them nobody is captured who has not agreed.
func TestEveryPathOfConsent(t *testing.T) {
	for _, policy := range []string{wire.PolicyNever, wire.PolicyAsk, wire.PolicyRequired} {
		t.Run(policy, func(t *testing.T) { walkConsent(t, policy) })
	}
}

func walkConsent(t *testing.T, policy string) {
	s := spec()
	s.Notice, s.Policy.Recording = notice, policy
	s.People = []consult.Person{{ID: "doc", Role: wire.RoleClinician}, {ID: "pat", Role: wire.RolePatient},
		{ID: "gua", Role: wire.RoleCarer, Proxy: true, For: "pat"}}
	most := 4000
	if os.Getenv("SOAK") != "" {
		most = 1 << 30
	}
	c, err := consult.New(s)
	if err != nil {
		t.Fatal(err)
	}
	commands := consentCommands()
	names := slices.Sorted(maps.Keys(commands))
	queue := []node{{c: c, said: map[string]wire.Decision{}}}
	seen := map[string]bool{}
	edges := map[string]int{}
	for len(queue) > 0 && len(seen) < most {
		n := queue[0]
		queue = queue[1:]
		for _, name := range names {
			next := node{c: n.c.Clone(), said: maps.Clone(n.said), asked: n.asked, broken: n.broken, path: append(slices.Clone(n.path), name)}
			was := n.c.Recording("doc").State
			commands[name](&next)
			e := next.c.Record(start)
			is := next.c.Recording("doc").State
			checkConsent(t, policy, next, was, is, e)
			if t.Failed() {
				t.Fatalf("after %s", strings.Join(next.path, ", "))
			}
			edges[fmt.Sprintf("%s to %s", was, is)]++
			key := fmt.Sprintf("%+v %v %v", *next.c, next.said, next.asked)
			if !seen[key] {
				seen[key] = true
				queue = append(queue, next)
			}
		}
	}
	t.Logf("%d states, %d not looked at; steps %v", len(seen), len(queue), edges)
	for _, edge := range []string{"off to requested", "requested to off", "requested to recording", "recording to paused",
		"paused to recording", "paused to off", "recording to off"} {
		if (edges[edge] > 0) != (policy != wire.PolicyNever) {
			t.Errorf("%s: %d steps", edge, edges[edge])
		}
	}
}

func consentCommands() map[string]func(*node) {
	commands := map[string]func(*node){
		"request": func(n *node) {
			if _, err := n.c.RequestRecording(start, "doc"); err == nil {
				n.asked = true
				n.said["doc"] = wire.ConsentGranted
				for _, id := range n.c.Admitted() {
					if n.said[id] != wire.ConsentGranted && n.c.Recording(id).Consent == "" {
						delete(n.said, id) // asked again
					}
				}
			}
		},
		"stop":   func(n *node) { _, _ = n.c.StopRecording("doc") },
		"ready":  func(n *node) { n.c.RecorderReady() },
		"fail":   func(n *node) { n.c.RecorderFails(wire.RecordingStorage); n.broken = n.c.Recorded() },
		"mended": func(n *node) { n.c.RecorderFails(""); n.broken = false },
		"hold":   func(n *node) { _, _ = n.c.Hold("doc", "pat") },
		"unhold": func(n *node) { _, _ = n.c.Unhold("doc", "pat") },
		"late":   func(n *node) { n.c.Record(start.Add(consult.RequestTimeout)) },
	}
	for _, id := range []string{"doc", "pat", "gua"} {
		commands["connect "+id] = func(n *node) {
			if _, err := n.c.Connect(start, consult.Connect{Participant: id, Session: "s"}); err == nil {
				delete(n.said, id)
			}
		}
		commands["resume "+id] = func(n *node) {
			_, _ = n.c.Connect(start, consult.Connect{Participant: id, Session: "s", Resume: "s"})
		}
		commands["lose "+id] = func(n *node) { n.c.Disconnect(start, id, "s") }
		commands["leave "+id] = func(n *node) {
			if n.c.State(id) != "" {
				if e, err := n.c.Leave(start, id, "s", ""); err == nil && len(e.Events) > 0 {
					delete(n.said, id)
				}
			}
		}
		commands["admit "+id] = func(n *node) { _, _ = n.c.Admit(start, "doc", id) }
		for _, d := range []wire.Decision{wire.ConsentGranted, wire.ConsentDenied, wire.ConsentWithdrawn} {
			commands[fmt.Sprint(id, " ", d)] = func(n *node) {
				if _, err := n.c.Consent(start, id, d, notice); err == nil {
					n.said[id] = d
				}
			}
		}
	}
	return commands
}

func checkConsent(t *testing.T, policy string, n node, was, is wire.RecordingState, e consult.Effects) {
	t.Helper()
	agreed := func(id string) bool {
		return n.said[id] == wire.ConsentGranted || id == "pat" && n.said[id] == "" && n.said["gua"] == wire.ConsentGranted && n.c.State("gua") != ""
	}
	admitted, captured := n.c.Admitted(), n.c.Captured()
	for _, id := range admitted {
		if len(captured) > 0 && !agreed(id) {
			t.Errorf("%v are captured, and %s in the room has not agreed", captured, id)
		}
		if policy == wire.PolicyRequired && id != "doc" && was == "" && !agreed(id) {
			t.Errorf("%s was admitted and has not agreed", id)
		}
	}
	for _, id := range captured {
		if !slices.Contains(admitted, id) {
			t.Errorf("%s is captured and not in the room", id)
		}
	}
	if (len(captured) > 0) != (is == wire.RecordingOn) {
		t.Errorf("%s, and %v are captured", is, captured)
	}
	if len(captured) > 0 && (n.broken || policy == wire.PolicyAsk && !n.asked || !slices.Contains(admitted, "doc")) {
		t.Errorf("%v are captured: broken %v, asked for %v, in the room %v", captured, n.broken, n.asked, admitted)
	}
	if was != wire.RecordingOn && is == wire.RecordingOn && (!e.Grants || len(e.Events) == 0) {
		t.Errorf("recording began with %+v", e)
	}
	if e.Grants && is != wire.RecordingOn {
		t.Errorf("%s grants something: %+v", is, e)
	}
}
