// Package wire is the WebSocket protocol bedside.v1: its message types, a strict decoder for what
// clients send and a lenient one for what servers send. It is pure: no socket, no clock.
//
// protocol.md beside this file describes the protocol for people who write clients.
package wire

// Subprotocol is the WebSocket subprotocol that both sides must name (RFC 6455 section 1.9).
const Subprotocol = "bedside.v1"

const (
	// MaxMessageBytes bounds one WebSocket message in either direction. An offer of the largest
	// room, untrimmed, is 48 kB; 128 KiB leaves room for codecs to come.
	MaxMessageBytes = 128 << 10
	// MaxBodyBytes bounds the body of one relayed Message.
	MaxBodyBytes = 4 << 10
)

// Role is what a participant is in a consultation; what each may do is decided by package consult.
type Role string

// The roles. The zero value is no role.
const (
	RoleClinician   Role = "clinician"
	RolePatient     Role = "patient"
	RoleCarer       Role = "carer"
	RoleInterpreter Role = "interpreter"
	RoleObserver    Role = "observer"
	RoleDevice      Role = "device"
)

// Source says what a published track shows or carries.
type Source string

// The sources. Camera, screen and exam are video, the others audio.
const (
	SourceCamera       Source = "camera"
	SourceMic          Source = "mic"
	SourceScreen       Source = "screen"
	SourceExam         Source = "exam"
	SourceAuscultation Source = "auscultation"
)

// State is where a participant stands with respect to the room.
type State string

// The states of a participant as others see them. Gone participants are not in the roster.
const (
	StateWaiting  State = "waiting"  // in the lobby: connected, sends and receives no media
	StateAdmitted State = "admitted" // in the room
	StateHeld     State = "held"     // on hold: in the consultation, sends and receives no media
)

// SlotState says what a client shows in a slot.
type SlotState string

// The states of a slot.
const (
	SlotEmpty SlotState = "empty" // nobody: hide the tile at once
	SlotLive  SlotState = "live"  // media of the named participant flows or is about to
	SlotMuted SlotState = "muted" // the named participant's, who has muted this source
)

// LinkLevel says how good one direction of a connection is.
type LinkLevel string

// The levels of a link. docs/embedding.md says where they begin.
const (
	LinkGood LinkLevel = "good"
	LinkFair LinkLevel = "fair"
	LinkPoor LinkLevel = "poor"
)

// Decision is what somebody has said about being recorded. Nothing is said at first.
type Decision string

// The decisions.
const (
	ConsentGranted   Decision = "granted"
	ConsentDenied    Decision = "denied"    // when asked
	ConsentWithdrawn Decision = "withdrawn" // after it was granted
)

// RecordAction is what a Record message asks for.
type RecordAction string

// The actions of Record.
const (
	RecordRequest RecordAction = "request"
	RecordStop    RecordAction = "stop"
)

// RecordingState says whether a consultation is being recorded.
type RecordingState string

// The states of a recording.
const (
	RecordingOff       RecordingState = "off"
	RecordingRequested RecordingState = "requested" // consent is asked for; nothing is recorded
	RecordingOn        RecordingState = "recording"
	RecordingPaused    RecordingState = "paused" // nothing is recorded until the reason has gone
)

// Policies of recording.
const (
	PolicyNever    = "never"
	PolicyAsk      = "ask"      // a clinician may ask, and everybody must agree
	PolicyRequired = "required" // nobody is admitted who does not agree
)

// Reasons of a Recording that is off or paused.
const (
	RecordingStopped          = "stopped"           // off: by a clinician
	RecordingDenied           = "denied"            // off: somebody has said no
	RecordingUnanswered       = "unanswered"        // off: somebody has said nothing for two minutes
	RecordingUnavailable      = "unavailable"       // off: the recorder does not start
	RecordingJoined           = "joined"            // paused: somebody is here who has not agreed
	RecordingWithdrawn        = "withdrawn"         // paused: somebody has taken their consent back
	RecordingClinicianAbsent  = "clinician_absent"  // paused: nobody is here who could stop it
	RecordingStorage          = "storage"           // paused: what is recorded cannot be kept
	RecordingAuditUnavailable = "audit_unavailable" // paused: going on could not be written down
)

// Codes of an Error message and of the HTTP API's problem documents. Clients branch on these, so
// they never change meaning; a new situation gets a new code.
const (
	CodeBadMessage         = "bad_message"          // not JSON, an unknown field, a value out of range
	CodeUnknownType        = "unknown_type"         // a message type this server does not know
	CodeMessageTooLarge    = "message_too_large"    // over MaxMessageBytes or MaxBodyBytes
	CodeRateLimited        = "rate_limited"         // too many messages or requests: slow down
	CodeJoinTimeout        = "join_timeout"         // the first message did not come in time
	CodeJoinFirst          = "join_first"           // something else came before join
	CodeAlreadyJoined      = "already_joined"       // a second join
	CodeTokenInvalid       = "token_invalid"        // malformed, forged or somebody else's token
	CodeTokenExpired       = "token_expired"        // exchange the invitation again
	CodeTokenUsed          = "token_used"           // a session token works once
	CodeTokenInURL         = "token_in_url"         // tokens are never accepted in a URL
	CodeInvitationUnknown  = "invitation_unknown"   // no such invitation
	CodeInvitationRevoked  = "invitation_revoked"   // withdrawn by whoever sent it
	CodeNotYetOpen         = "not_yet_open"         // before the window; opens_at says when
	CodeWindowClosed       = "window_closed"        // after the window; closed_at says when
	CodeConsultationEnded  = "consultation_ended"   // over
	CodeConsultationFull   = "consultation_full"    // max_participants are here
	CodeForbidden          = "forbidden"            // the role may not do this
	CodeNoSuchParticipant  = "no_such_participant"  // or not in a state in which this can be done
	CodeNotAdmitted        = "not_admitted"         // only in the room
	CodeBadSDP             = "bad_sdp"              // the offer cannot be answered; detail says why
	CodeCodecMismatch      = "codec_mismatch"       // no codec in common with the room
	CodeBadSource          = "bad_source"           // a track this role may not publish, or of the wrong kind
	CodeUnknownMid         = "unknown_mid"          // no such m-line, or not one of yours
	CodeUnavailable        = "unavailable"          // the server is draining or at a limit: try again
	CodeInternal           = "internal"             // our fault; the log has the details
	CodeTwoPatients        = "two_patients"         // needs policy group
	CodeExternalIDConflict = "external_id_conflict" // the same external_id with another body
	CodeBadRequest         = "bad_request"          // HTTP: the request cannot be read or a value is out of range
	CodeUnauthorized       = "unauthorized"         // HTTP: no API key, or not one of ours
	CodeNotFound           = "not_found"            // HTTP: no such thing, or another tenant's
	CodeNotSupported       = "not_supported"        // a value that this version refuses; detail says which
	CodePINRequired        = "pin_required"         // HTTP: join again with the PIN that came beside the link
	CodePINWrong           = "pin_wrong"            // HTTP: not that one; five wrong ones lock it
	CodePINLocked          = "pin_locked"           // HTTP: too many wrong PINs; Retry-After says for how long
	CodeRecordingForbidden = "recording_forbidden"  // the policy is never, or this server records nothing
	CodeRecordingFailed    = "recording_failed"     // the recorder cannot record: detail says why
	CodeConsentRequired    = "consent_required"     // policy required: not admitted before they agree
	CodeRecordingErased    = "recording_erased"     // HTTP: its key was destroyed
	CodeRecordingOpen      = "recording_open"       // HTTP: it is still being made
	CodeNoticeOutdated     = "notice_outdated"      // consent to another version of the notice
	CodeAuditUnavailable   = "audit_unavailable"    // nothing is granted that cannot be written into the audit log
)

// Reasons of an Ended message. Clients show a page for each.
const (
	EndedByClinician  = "ended"           // the clinician ended it for all
	EndedLeft         = "left"            // this participant left
	EndedReplaced     = "replaced"        // the same invitation was opened on another device
	EndedRefused      = "refused"         // not let in
	EndedRemoved      = "removed"         // taken out of the room; the link is revoked
	EndedRevoked      = "revoked"         // the invitation was withdrawn through the API
	EndedCancelled    = "cancelled"       // the consultation was cancelled through the API
	EndedWindowClosed = "window_closed"   // the time is over
	EndedSlow         = "too_slow"        // the client did not read its messages
	EndedSSRCLimit    = "ssrc_limit"      // the client sent more streams than anyone has
	EndedMediaFailed  = "media_failed"    // DTLS or ICE gave up: join again
	EndedDraining     = "server_draining" // join again, elsewhere or later
)

// Track names the source behind one of the offer's sending m-lines.
type Track struct {
	Mid    string `json:"mid"`
	Source Source `json:"source"`
}

// Tile is how large a client shows one source, in CSS pixels times the device's pixel ratio.
type Tile struct {
	Participant string `json:"participant"`
	Source      Source `json:"source"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Pinned      bool   `json:"pinned,omitempty"`
}

// Participant is one line of the roster.
type Participant struct {
	ID        string   `json:"id"`
	Role      Role     `json:"role"`
	Display   string   `json:"display,omitempty"`
	Proxy     bool     `json:"proxy,omitempty"` // a guardian: a carer who decides for the patient
	Watch     bool     `json:"watch,omitempty"` // a device that receives what is said and shown
	State     State    `json:"state"`
	Connected bool     `json:"connected"`         // false while their connection is being restored
	Waiting   int64    `json:"waiting,omitempty"` // StateWaiting: Unix milliseconds since when
	Muted     []Source `json:"muted,omitempty"`   // the sources they have muted
}

// Assignment says whose media flows through the client's receiving m-line Mid.
type Assignment struct {
	Mid         string    `json:"mid"`
	Participant string    `json:"participant,omitempty"` // absent in an empty slot
	Source      Source    `json:"source,omitempty"`
	State       SlotState `json:"state"`
	// RTP is the RTP timestamp from which on the slot shows this assignment: a frame with an
	// earlier one (RFC 3550 order, modulo 2^32) still belongs to whoever was there before.
	RTP uint32 `json:"rtp"`
}

// Level is one participant's voice, 0 (silence) to 127 (loudest).
type Level struct {
	Participant string `json:"participant"`
	Level       int    `json:"level"`
}

// SlotCount is how many receiving m-lines of each kind an offer is to have.
type SlotCount struct {
	Audio int `json:"audio"`
	Video int `json:"video"`
}

// ICEServer is one entry of RTCConfiguration.iceServers.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// Policy is what the client needs to know of the consultation's rules.
type Policy struct {
	Recording       string   `json:"recording"`        // never, ask or required
	Notice          string   `json:"notice,omitempty"` // the version of the notice that consent is to; not with never
	Profile         string   `json:"profile"`          // general, motion or detail
	VideoCodec      string   `json:"video_codec"`      // VP8 or H264: what everybody sends, and must be able to take
	MaxParticipants int      `json:"max_participants"`
	Publish         []Source `json:"publish"` // what this participant may send
	Can             []string `json:"can"`     // what this participant may ask for: admit, end, message, …
}

// Facts are what somebody in the lobby may know.
type Facts struct {
	ClinicianPresent bool   `json:"clinician_present"`
	Start            string `json:"start,omitempty"`   // RFC 3339
	End              string `json:"end,omitempty"`     // RFC 3339
	Closes           string `json:"closes,omitempty"`  // RFC 3339: when everybody is disconnected
	Started          string `json:"started,omitempty"` // RFC 3339: when clinician and patient first met
}
