package consult

// The names of events, as the audit log keeps them.
const (
	EventWaiting      = "person.waiting"      // came into the lobby
	EventJoined       = "person.joined"       // came into the room without having to be admitted
	EventRejoined     = "person.rejoined"     // came back to where they were
	EventAdmitted     = "person.admitted"     // was let into the room
	EventRefused      = "person.refused"      // was sent away from the lobby
	EventHeld         = "person.held"         // was put on hold
	EventResumed      = "person.resumed"      // was taken back from hold
	EventRemoved      = "person.removed"      // was taken out, and the link revoked
	EventLeft         = "person.left"         // went, or did not come back in time
	EventDisconnected = "person.disconnected" // lost the connection
	EventReplaced     = "person.replaced"     // the same invitation was opened on another device
	EventHandedOver   = "person.handed_over"  // left the consultation to another clinician
	EventStarted      = "consultation.started"
	EventEnded        = "consultation.ended"

	EventConsentRequested = "consent.requested" // everybody was asked; the reason of all four is the version of the notice
	EventConsentGranted   = "consent.granted"
	EventConsentDenied    = "consent.denied"
	EventConsentWithdrawn = "consent.withdrawn"
	EventConsentLapsed    = "consent.lapsed" // the request came to nothing
	EventRecordingStarted = "recording.started"
	EventRecordingPaused  = "recording.paused"
	EventRecordingResumed = "recording.resumed"
	EventRecordingStopped = "recording.stopped"
)

// The reasons of events that have one beside those of package wire.
const (
	ReasonConnectionLost  = "connection_lost"
	ReasonClinicianAbsent = "clinician_absent"
	ReasonWithPatient     = "with_patient" // a device goes where its patient goes
	ReasonWatches         = "watches"      // a device that receives what is said and shown
)

// Event is something that is to be known afterwards. Actor is who brought it about, empty for time;
// Subject is whom it concerns, empty for the consultation. Both are participants' ids.
type Event struct {
	Name    string
	Actor   string
	Subject string
	Reason  string
}
