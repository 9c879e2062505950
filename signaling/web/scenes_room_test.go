package web_test

import (
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

func person(id string, role wire.Role, name string) wire.Participant {
	return wire.Participant{ID: id, Role: role, Display: name, State: wire.StateAdmitted, Connected: true}
}

// The people of the pictures.
func drLee() wire.Participant { return person("p_dr", wire.RoleClinician, "Dr Lee") }
func drRoy() wire.Participant { return person("p_roy", wire.RoleClinician, "Dr Roy") }
func maria() wire.Participant { return person("p_pat", wire.RolePatient, "Maria Novak") }
func ana() wire.Participant   { return person("p_ana", wire.RoleInterpreter, "Ana Silva") }
func jonas() wire.Participant {
	p := person("p_jo", wire.RoleCarer, "Jonas Novak")
	p.Proxy = true
	return p
}

func waits(p wire.Participant, minutes int) wire.Participant {
	p.State, p.Waiting = wire.StateWaiting, time.Now().Add(-time.Duration(minutes)*time.Minute-time.Second).UnixMilli()
	return p
}

func held(p wire.Participant) wire.Participant { p.State = wire.StateHeld; return p }

// group is a full room.
func group() []wire.Participant {
	away := person("p_chi", wire.RoleCarer, "Chidi Okri")
	away.Connected = false
	off := person("p_fat", wire.RoleCarer, "Fatima Haddad-Ben Slimane")
	off.Muted = []wire.Source{wire.SourceMic, wire.SourceCamera}
	return []wire.Participant{drLee(), maria(), ana(), jonas(), off, away, person("p_obs", wire.RoleObserver, "Sam Okafor"),
		person("p_dev", wire.RoleDevice, "Otoscope"), held(person("p_hel", wire.RoleCarer, "Erik Lind"))}
}

func big(i *invited) *invited {
	i.joined.Slots = wire.SlotCount{Audio: 7, Video: 8}
	i.joined.Policy.MaxParticipants = 8
	return i
}

func roomScenes() []scene {
	doctor := func(roster ...wire.Participant) func(*set) *tab {
		return func(s *set) *tab {
			p, _ := s.room(clinician(), append([]wire.Participant{drLee()}, roster...), "")
			return p
		}
	}
	return []scene{
		{"room-alone", doctor()},
		{"room-queue", doctor(waits(maria(), 3), waits(jonas(), 1), waits(ana(), 0))},
		{"room-queue-line", func(s *set) *tab {
			p := doctor(waits(maria(), 3), waits(jonas(), 1))(s)
			p.people(false)
			p.until(`document.querySelector('.notice [data-action="admit-next"]')`)
			return p
		}},
		{"room-held", doctor(held(maria()), held(jonas()))},
		{"room-patient", func(s *set) *tab { p, _ := s.call(patient(), drLee(), maria()); return p }},
		{"room-clinician", func(s *set) *tab { p, _ := s.call(clinician(), drLee(), maria()); return p }},
		{"room-three", func(s *set) *tab { p, _ := s.call(patient(), drLee(), maria(), ana()); return p }},
		{"room-group", func(s *set) *tab { return s.group(false) }},
		{"room-people", func(s *set) *tab { return s.group(true) }},
		{"room-screen", screen},
		{"room-chat", chat},
		{"room-more", func(s *set) *tab { return s.dialog("more", drLee(), maria()) }},
		{"room-leave", func(s *set) *tab { return s.dialog("leave", drLee(), maria()) }},
		{"room-hand-over", func(s *set) *tab { return s.dialog("leave", drLee(), maria(), drRoy()) }},
		{"room-handed-over", func(s *set) *tab {
			p, session := s.call(clinician(), drLee(), maria(), drRoy())
			session.send(&wire.Said{From: drRoy().ID, To: drLee().ID, Kind: wire.KindHandedOver})
			p.until(`document.querySelector('.notice[data-bedside-problem="handed_over"]')`)
			return p
		}},
		{"room-end", func(s *set) *tab { return s.dialog("end", drLee(), maria()) }},
		{"room-remove", func(s *set) *tab { return s.rowDialog("remove", drLee(), maria()) }},
		{"room-message", func(s *set) *tab { return s.rowDialog("message", drLee(), waits(maria(), 2)) }},
		{"room-muted", muted},
		{"room-talking-muted", func(s *set) *tab { return s.notice(`bedside.dispatchEvent(new Event('x'))`, "talking_muted") }},
		{"room-reconnecting", func(s *set) *tab { return s.lost("") }},
		{"room-restarting", func(s *set) *tab { return s.lost(wire.EndedDraining) }},
		{"room-poor", func(s *set) *tab { return s.notice(`poor()`, "poor_connection") }},
		{"room-poor-other", poorOther},
		{"room-link", link},
		{"room-stalled", stalled},
		{"room-stalled-heard", func(s *set) *tab {
			p := stalled(s)
			eval[bool](p, poorJS+`poor([{ participant: 'p_dr', level: 'poor', loss: .14, concealed: .01, sound: true, jitter: 41 }]); true`)
			p.until(`document.querySelector('.tile .cover').innerText.includes(` + "`" + s.words("still hear", "weiter") + "`" + `)`)
			return p
		}},
		{"room-away", away},
		{"room-joined", joined},
		{"room-sound-blocked", func(s *set) *tab {
			return s.notice(`bedside.dispatchEvent(new CustomEvent('device', { detail: { source: 'speaker', problem: 'blocked', label: '' } }))`, "sound_blocked")
		}},
		{"room-unplugged", func(s *set) *tab {
			return s.notice(`bedside.dispatchEvent(new CustomEvent('device', { detail: { source: 'camera', problem: 'ended', label: 'HD Pro Webcam C920' } }))`, "camera_unplugged")
		}},
		{"room-camera-denied", func(s *set) *tab {
			p, _ := s.room(clinician(), room(), failing("video", "NotAllowedError"))
			p.until(`document.querySelector('.notice[data-bedside-problem="camera_denied"]')`)
			return p
		}},
		{"room-audit-failed", auditFailed},
	}
}

// call is a room in which everybody is seen, and nothing else is going on.
func (s *set) call(i *invited, roster ...wire.Participant) (*tab, *session) {
	s.t.Helper()
	p, session := s.room(i, roster, "")
	session.pictures(p, roster)
	return p, session
}

func (s *set) group(people bool) *tab {
	p, session := s.call(big(clinician()), group()...)
	session.send(&wire.Speakers{Levels: []wire.Level{{Participant: "p_ana", Level: 90}}})
	p.until(`document.querySelector('.tile.speaking')`)
	p.people(people)
	if !people {
		return p
	}
	eval[bool](p, `document.querySelector('[data-roster="p_pat"] details').open = true`)
	p.until(`document.querySelector('[data-roster="p_pat"] details p').textContent`)
	return p
}

// people opens or closes the list of people, which a wide page shows to clinicians from the start.
func (p *tab) people(open bool) {
	p.t.Helper()
	if eval[bool](p, `document.querySelector('[part=people]').checkVisibility()`) != open {
		p.press(map[bool]string{true: "people", false: "close-people"}[open])
	}
}

func screen(s *set) *tab {
	p, session := s.call(big(patient()), drLee(), maria(), ana(), jonas())
	mid := eval[string](p, `bedside.tiles.at(-1).mid`)
	session.send(&wire.Slots{Epoch: 2, Assignments: []wire.Assignment{{Mid: mid, Participant: "p_dr", Source: wire.SourceScreen, State: wire.SlotLive, RTP: session.media.now()}}})
	p.until(`document.querySelector('.tile.large[data-source="screen"][data-shown="true"]')`)
	return p
}

func chat(s *set) *tab {
	p, session := s.call(patient(), drLee(), maria())
	session.send(&wire.Said{From: "p_dr", Kind: "chat", Body: s.words("Please take the blue tablets in the morning.", "Bitte nehmen Sie die blauen Tabletten am Morgen.")})
	session.send(&wire.Said{From: "p_dr", To: "p_pat", Kind: "chat", Body: "https://example.org/leaflet/a-rather-long-address-that-has-no-spaces-in-it.pdf"})
	p.press("chat")
	p.key(s.words("Before or after breakfast?", "Vor oder nach dem Essen?") + "\r")
	p.until(`document.querySelectorAll('.message').length === 3`)
	return p
}

func (s *set) dialog(action string, roster ...wire.Participant) *tab {
	p, _ := s.call(clinician(), roster...)
	p.people(false)
	p.press(action)
	p.until(`document.querySelector('dialog[open]')`)
	return p
}

func (s *set) rowDialog(action string, roster ...wire.Participant) *tab {
	p, _ := s.room(clinician(), roster, "")
	p.people(true)
	p.pressFor("p_pat", action)
	p.until(`document.querySelector('dialog[open]')`)
	return p
}

func muted(s *set) *tab {
	p, _ := s.call(patient(), drLee(), maria())
	p.press("mic")
	p.press("camera")
	p.until(`document.querySelectorAll('.control.off').length === 2`)
	return p
}

// notice is a patient's room in which js makes a line appear.
func (s *set) notice(js, code string) *tab {
	inject := ""
	if code == "talking_muted" { // a steady tone
		inject = `{
			const before = navigator.mediaDevices.getUserMedia;
			navigator.mediaDevices.getUserMedia = async (c) => {
				const out = await before({ video: c.video, audio: false });
				const context = new AudioContext();
				const to = context.createMediaStreamDestination();
				const tone = new OscillatorNode(context, { frequency: 300 });
				tone.connect(to); tone.start();
				if (c.audio) out.addTrack(to.stream.getAudioTracks()[0]);
				return out;
			};
		}`
	}
	p, session := s.room(patient(), room(), inject)
	session.pictures(p, room())
	if code == "talking_muted" {
		p.press("mic")
	}
	eval[bool](p, poorJS+js+`; true`)
	p.until(`document.querySelector('.notice[data-bedside-problem="` + code + `"]')`)
	return p
}

func (s *set) lost(reason string) *tab {
	p, session := s.call(patient(), drLee(), maria())
	if reason != "" {
		session.send(&wire.Ended{Reason: reason})
	} else {
		_ = session.conn.Close()
	}
	p.until(`document.querySelector('.notice[data-bedside-problem="reconnecting"]')`)
	return p
}

func poorOther(s *set) *tab {
	p, _ := s.call(clinician(), drLee(), maria())
	p.people(false)
	eval[bool](p, poorJS+`poor([{ participant: 'p_pat', level: 'poor', loss: .14, concealed: .08, sound: true, jitter: 41, width: 320, height: 180, framesPerSecond: 4 }]); true`)
	p.until(`document.querySelector('.poor-mark').checkVisibility()`)
	return p
}

// link is what a clinician sees of connections: the patient's uplink is poor, the interpreter's good.
func link(s *set) *tab {
	roster := []wire.Participant{drLee(), maria(), ana()}
	p, session := s.call(clinician(), roster...)
	for _, r := range roster {
		good := wire.Quality{Participant: r.ID, Uplink: wire.LinkGood, Downlink: wire.LinkGood, Figures: &wire.LinkFigures{RoundTrip: 31}}
		if r.ID == maria().ID {
			good.Uplink, good.Figures = wire.LinkPoor, &wire.LinkFigures{UplinkLoss: 0.142, DownlinkLoss: 0.004, RoundTrip: 164}
		}
		session.send(&good)
	}
	p.until(`document.querySelector('.poor-mark').checkVisibility()`)
	p.people(true)
	p.until(`document.querySelectorAll('[part="link"]').length === 3`)
	eval[bool](p, `document.querySelector('[data-roster="p_pat"] [part="link"] summary').click(); true`)
	p.until(`document.querySelector('[data-roster="p_pat"] [part="link"] p').checkVisibility()`)
	// Why no more of her arrives is told with how she arrives.
	eval[bool](p, `document.querySelector('[data-roster="p_pat"] [part="reception"]').open = true`)
	eval[bool](p, poorJS+`poor([{ participant: 'p_pat', level: 'poor', loss: .14, concealed: .08, sound: true, jitter: 41, width: 320, height: 180, framesPerSecond: 4 }]); true`)
	p.until(`/Their connection sends no more|Mehr sendet die Verbindung dort nicht/.test(document.querySelector('[data-roster="p_pat"] [part="reception"] p').textContent)`)
	return p
}

func stalled(s *set) *tab {
	p, _ := s.call(patient(), drLee(), maria())
	eval[bool](p, `connections.flatMap((c) => c.getSenders()).find((s) => s.track?.kind === 'video').replaceTrack(null).then(() => true)`)
	p.until(`document.querySelector('.tile.stalled .cover')?.checkVisibility()`)
	return p
}

func away(s *set) *tab {
	p, session := s.call(patient(), drLee(), maria())
	gone := drLee()
	gone.Connected = false
	session.send(&wire.Roster{Participants: []wire.Participant{gone, maria()}})
	p.until(`document.querySelector('.tile.away .cover')?.checkVisibility()`)
	return p
}

func joined(s *set) *tab {
	p, session := s.call(patient(), drLee(), maria())
	session.send(&wire.Roster{Participants: []wire.Participant{drLee(), maria(), ana()}})
	p.until(`document.querySelector('.notice.quiet')`)
	return p
}

func auditFailed(s *set) *tab {
	i := clinician()
	i.refuseAll = wire.CodeAuditUnavailable
	p, _ := s.room(i, []wire.Participant{drLee(), waits(maria(), 2)}, "")
	p.people(true)
	p.pressFor("p_pat", "admit")
	p.until(`document.querySelector('.notice[data-bedside-problem="failed"]')`)
	return p
}
