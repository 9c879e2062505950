package consult

import (
	"slices"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Verb is something a participant may be allowed to do in a consultation.
type Verb string

// The verbs. Those that clients may need to know are sent to them as Policy.Can.
const (
	VerbSubscribe Verb = "subscribe"  // receive the others' media
	VerbSkipLobby Verb = "skip_lobby" // enter without being admitted
	VerbMessage   Verb = "message"    // send messages of any kind but vitals
	VerbVitals    Verb = "vitals"     // send messages of kind vitals
	VerbAdmit     Verb = "admit"      // see who waits and let them in
	VerbRefuse    Verb = "refuse"     // send somebody away who waits
	VerbRemove    Verb = "remove"     // take somebody out and revoke their link
	VerbHold      Verb = "hold"       // put somebody on hold and take them back
	VerbHandOver  Verb = "hand_over"  // leave to another clinician
	VerbRecord    Verb = "record"     // ask for everybody's consent, and record
	VerbConsent   Verb = "consent"    // be recorded, by one's own consent
	VerbEnd       Verb = "end"        // end the consultation for everybody
	VerbLeave     Verb = "leave"
)

// KindVitals is the kind of message that devices may send.
const KindVitals = "vitals"

// Rights are what a role may do. Publish is in the order in which it is shown.
type Rights struct {
	Role    wire.Role
	Publish []wire.Source
	Can     []Verb
}

// rights is the table of roles; a role that is not in it has no rights.
//
// A carer or an interpreter has no screen to share and no instrument; an observer (a student) is
// there to watch and listen; a device sends what it measures and receives nothing, so that nobody
// listens in through a stethoscope, unless it is invited to watch.
func rights() []Rights {
	const (
		camera, mic, screen, exam, auscultation = wire.SourceCamera, wire.SourceMic, wire.SourceScreen,
			wire.SourceExam, wire.SourceAuscultation
	)
	return []Rights{
		{wire.RoleClinician, []wire.Source{camera, mic, screen, exam, auscultation},
			[]Verb{VerbSubscribe, VerbSkipLobby, VerbMessage, VerbVitals, VerbAdmit, VerbRefuse,
				VerbRemove, VerbHold, VerbHandOver, VerbRecord, VerbConsent, VerbEnd, VerbLeave}},
		{wire.RolePatient, []wire.Source{camera, mic, screen, exam, auscultation},
			[]Verb{VerbSubscribe, VerbMessage, VerbVitals, VerbConsent, VerbLeave}},
		{wire.RoleCarer, []wire.Source{camera, mic},
			[]Verb{VerbSubscribe, VerbMessage, VerbVitals, VerbConsent, VerbLeave}},
		{wire.RoleInterpreter, []wire.Source{camera, mic},
			[]Verb{VerbSubscribe, VerbMessage, VerbVitals, VerbConsent, VerbLeave}},
		{wire.RoleObserver, nil,
			[]Verb{VerbSubscribe, VerbLeave}},
		{wire.RoleDevice, []wire.Source{exam, auscultation},
			[]Verb{VerbVitals, VerbLeave}},
	}
}

// RightsFor returns what a role may do, as a guardian or not. A guardian holds the exam camera to a
// child's ear and may publish what the child may.
func RightsFor(role wire.Role, proxy bool) Rights {
	r := RightsOf(role)
	if proxy && role == wire.RoleCarer {
		r.Publish = RightsOf(wire.RolePatient).Publish
	}
	return r
}

// RightsOf returns what a role may do; nothing for an unknown role. The caller owns the result.
func RightsOf(role wire.Role) Rights {
	for _, r := range rights() {
		if r.Role == role {
			return r
		}
	}
	return Rights{Role: role}
}

// Roles returns every role, in the order of the table.
func Roles() []wire.Role {
	var list []wire.Role
	for _, r := range rights() {
		list = append(list, r.Role)
	}
	return list
}

// May reports whether the role may do v.
func (r Rights) May(v Verb) bool { return slices.Contains(r.Can, v) }

// MayPublish reports whether the role may publish tracks of source s.
func (r Rights) MayPublish(s wire.Source) bool { return slices.Contains(r.Publish, s) }
