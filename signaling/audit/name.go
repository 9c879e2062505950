package audit

// Name says what happened. Only the names below can be appended.
type Name string

// The names of events.
const (
	ConsultationCreated   Name = "consultation.created"   // a scheduling system opened one
	ConsultationUpdated   Name = "consultation.updated"   // its window, policy or people were changed
	ConsultationStarted   Name = "consultation.started"   // a clinician and a patient are in it together for the first time
	ConsultationEnded     Name = "consultation.ended"     // for everybody: by a clinician, a key or its window
	ConsultationCancelled Name = "consultation.cancelled" // before it started

	InvitationCreated   Name = "invitation.created"   // a link was handed to the scheduling system
	InvitationExchanged Name = "invitation.exchanged" // for a session token
	InvitationRefused   Name = "invitation.refused"   // unknown, too early, too late, revoked
	InvitationRevoked   Name = "invitation.revoked"   // no link made before works any more
	PINFailed           Name = "pin.failed"           // a wrong PIN
	PINLocked           Name = "pin.locked"           // too many wrong ones
	TokenRefused        Name = "token.refused"        // a session or resume token that does not verify, is old or was used
	AccessDenied        Name = "access.denied"        // a key or a role asked for what it may not do

	PersonWaiting      Name = "person.waiting"      // in the lobby
	PersonJoined       Name = "person.joined"       // in the room without a lobby
	PersonRejoined     Name = "person.rejoined"     // back within the time for which a place is kept
	PersonAdmitted     Name = "person.admitted"     // from the lobby, by a clinician
	PersonRefused      Name = "person.refused"      // from the lobby, by a clinician
	PersonHeld         Name = "person.held"         // out of sight and hearing, not out of the consultation
	PersonResumed      Name = "person.resumed"      // from being held
	PersonLeft         Name = "person.left"         // by their own wish
	PersonRemoved      Name = "person.removed"      // by a clinician or a key
	PersonReplaced     Name = "person.replaced"     // by another device with the same invitation
	PersonHandedOver   Name = "person.handed_over"  // a clinician left the patient to another
	PersonDisconnected Name = "person.disconnected" // and did not come back in time

	ConsentRequested Name = "consent.requested" // everybody in the room was asked; the reason of these four is the version of the notice
	ConsentGranted   Name = "consent.granted"
	ConsentDenied    Name = "consent.denied"
	ConsentWithdrawn Name = "consent.withdrawn"
	ConsentLapsed    Name = "consent.lapsed" // the request came to nothing

	RecordingStarted Name = "recording.started"
	RecordingPaused  Name = "recording.paused"
	RecordingResumed Name = "recording.resumed"
	RecordingStopped Name = "recording.stopped"
	RecordingSealed  Name = "recording.sealed"  // it is complete: the subject's ref is the SHA-256 of its signed manifest
	RecordingRead    Name = "recording.read"    // listed, or a part of it was handed out, encrypted
	RecordingRekeyed Name = "recording.rekeyed" // its key was wrapped for other recipients
	RecordingErased  Name = "recording.erased"  // its key was destroyed

	ConfigChanged Name = "config.changed" // the server started with another configuration than before
	KeyChanged    Name = "key.changed"    // an API key or a signing key came, went or changed
	ServerStarted Name = "server.started"
	ServerStopped Name = "server.stopped" // in order; its absence before server.started tells of a crash

	AuditRead     Name = "audit.read"     // over the API
	AuditExported Name = "audit.exported" // by the command
)

// Names returns every name, in the order of the list above.
func Names() []Name {
	return []Name{
		ConsultationCreated, ConsultationUpdated, ConsultationStarted, ConsultationEnded, ConsultationCancelled,
		InvitationCreated, InvitationExchanged, InvitationRefused, InvitationRevoked,
		PINFailed, PINLocked, TokenRefused, AccessDenied,
		PersonWaiting, PersonJoined, PersonRejoined, PersonAdmitted, PersonRefused, PersonHeld, PersonResumed,
		PersonLeft, PersonRemoved, PersonReplaced, PersonHandedOver, PersonDisconnected,
		ConsentRequested, ConsentGranted, ConsentDenied, ConsentWithdrawn, ConsentLapsed,
		RecordingStarted, RecordingPaused, RecordingResumed, RecordingStopped, RecordingSealed, RecordingRead, RecordingRekeyed, RecordingErased,
		ConfigChanged, KeyChanged, ServerStarted, ServerStopped,
		AuditRead, AuditExported,
	}
}

func (n Name) known() bool {
	for _, k := range Names() {
		if n == k {
			return true
		}
	}
	return false
}

// closes tells whether the event only takes access away or tells of its end. The space below
// Options.MinFree is kept for these: somebody can be removed while nobody can be admitted.
func (n Name) closes() bool {
	switch n {
	case ConsultationEnded, ConsultationCancelled, InvitationRefused, InvitationRevoked, PINFailed, PINLocked,
		TokenRefused, AccessDenied, PersonRefused, PersonHeld, PersonLeft, PersonRemoved, PersonDisconnected,
		ConsentDenied, ConsentWithdrawn, ConsentLapsed, RecordingPaused, RecordingStopped, RecordingSealed, RecordingErased, ServerStopped:
		return true
	}
	return false
}
