package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	// defaultLength is the length of a consultation that has no end.
	defaultLength = time.Hour
	maxLength     = 24 * time.Hour
	// maxAhead bounds how long names are kept for a consultation that is to come, and keeps times within
	// what RFC 3339 can say.
	maxAhead = 10 * 366 * 24 * time.Hour
	// maxPeople bounds who is invited to one consultation, unless more may be connected at once.
	maxPeople = 50
)

// NewConsultation is the body of POST /v1/consultations.
type NewConsultation struct {
	ExternalID      string           `json:"external_id,omitempty" maxLength:"200" doc:"The scheduler's own id, unique in its tenant. The same id with the same body returns the same links" example:"sched.example.org|20261122-0900"`
	Start           *time.Time       `json:"start,omitempty" doc:"Now when it is left out"`
	End             *time.Time       `json:"end,omitempty" doc:"An hour after the start when it is left out"`
	Profile         string           `json:"profile,omitempty" enum:"general,motion,detail" default:"general" doc:"What to keep when bandwidth is short: motion keeps frames, detail keeps resolution"`
	VideoCodec      string           `json:"video_codec,omitempty" enum:"VP8,H264" default:"VP8" doc:"What everybody sends. With H264, for devices that have nothing else, a browser without it (Firefox without its plugin) is refused with codec_mismatch"`
	Recording       string           `json:"recording,omitempty" enum:"never,ask,required" default:"never" doc:"Whether the consultation may be recorded: never, when everybody agrees to a clinician's request (ask), or it is and nobody is let in before they have agreed (required). A server without a recorder takes never alone"`
	MaxParticipants int              `json:"max_participants,omitempty" minimum:"2" maximum:"200" default:"8" doc:"Of those connected at once, waiting ones included. A server takes up to its signaling.limits.participants, 20 if it says nothing else"`
	Group           bool             `json:"group,omitempty" doc:"Allows more than one patient"`
	Lobby           *bool            `json:"lobby,omitempty" doc:"Whether everybody but clinicians waits to be admitted; true when it is left out"`
	Participants    []NewParticipant `json:"participants" nullable:"false" minItems:"1" maxItems:"200" doc:"Up to 50, or as many as may be connected at once where that is more"`
}

// NewParticipant is one person or device to be invited.
type NewParticipant struct {
	Ref      string    `json:"ref,omitempty" maxLength:"200" doc:"The scheduler's identifier of the person: opaque, never a name or a record number"`
	Role     wire.Role `json:"role" enum:"clinician,patient,carer,interpreter,observer,device"`
	Display  string    `json:"display,omitempty" maxLength:"64" doc:"The name that the others see. It is kept until a day after the end and never logged"`
	ProxyFor string    `json:"proxy_for,omitempty" maxLength:"200" doc:"For a carer who decides for the patient (a parent, a legal guardian): the patient's ref. The patient need not be a participant"`
	Watch    bool      `json:"watch,omitempty" doc:"For a device that receives what is said and shown, such as a wall display, also by WHEP. Everybody sees in the roster that it does, and a clinician lets it in"`
	PIN      bool      `json:"pin,omitempty" doc:"Ask for a PIN, which goes to the person by another way than the link. It is shown once, in the answer to this request"`
}

// Consultation is what the API tells of one.
type Consultation struct {
	ID              string        `json:"id" example:"c_7Hq2vN0sQm2k9tYbXwA1cg"`
	ExternalID      string        `json:"external_id,omitempty"`
	State           string        `json:"state" enum:"scheduled,open,in_progress,ended,cancelled"`
	Start           time.Time     `json:"start"`
	End             time.Time     `json:"end"`
	Window          Window        `json:"window"`
	Profile         string        `json:"profile"`
	VideoCodec      string        `json:"video_codec"`
	Recording       string        `json:"recording"`
	MaxParticipants int           `json:"max_participants"`
	Group           bool          `json:"group"`
	Lobby           bool          `json:"lobby"`
	Participants    []Participant `json:"participants" nullable:"false"`
}

// Window is when a consultation can be joined: from <= t < to.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Participant is one invited person or device.
type Participant struct {
	ID          string    `json:"id" example:"p_4fYp0n0m8dQvE0bqGxk3Vw"`
	Ref         string    `json:"ref,omitempty"`
	Role        wire.Role `json:"role"`
	ProxyFor    string    `json:"proxy_for,omitempty" doc:"A guardian: the ref of the patient for whom this carer decides"`
	Watch       bool      `json:"watch,omitempty" doc:"A device that receives what is said and shown"`
	Revoked     bool      `json:"revoked,omitempty"`
	PINRequired bool      `json:"pin_required,omitempty"`
	PIN         string    `json:"pin,omitempty" example:"493027" doc:"Once, when the invitation is made"`
	JoinURL     string    `json:"join_url,omitempty" doc:"The person's own link. The secret is in the fragment, which browsers send to nobody"`
}

type (
	createInput  struct{ Body NewConsultation }
	createOutput struct {
		Status int
		Body   Consultation
	}
	consultationOutput struct{ Body Consultation }
	listInput          struct {
		ExternalID string `query:"external_id" required:"true" minLength:"1" maxLength:"200"`
	}
	listBody struct {
		Consultations []Consultation `json:"consultations" nullable:"false"`
	}
	listOutput struct{ Body listBody }
	pathInput  struct {
		ID string `path:"id" maxLength:"64"`
	}
	participantInput struct {
		ID            string `path:"id" maxLength:"64"`
		ParticipantID string `path:"pid" maxLength:"64"`
	}
)

func problemType() reflect.Type { return reflect.TypeFor[Problem]() }

func (s *Server) registerConsultations(api huma.API) {
	scoped := func(o huma.Operation) huma.Operation {
		o.Tags = []string{"consultations"}
		return s.scoped(api, config.ScopeConsultations, o)
	}
	huma.Register(api, scoped(huma.Operation{
		OperationID: "create-consultation", Method: http.MethodPost, Path: "/v1/consultations",
		Summary: "Open a consultation", DefaultStatus: http.StatusCreated,
		Responses: map[string]*huma.Response{"200": {Description: "It existed, with the same body"}},
	}), s.create)
	huma.Register(api, scoped(huma.Operation{
		OperationID: "find-consultations", Method: http.MethodGet, Path: "/v1/consultations",
		Summary: "Find a consultation by its external id",
	}), s.list)
	huma.Register(api, scoped(huma.Operation{
		OperationID: "get-consultation", Method: http.MethodGet, Path: "/v1/consultations/{id}",
		Summary: "Read a consultation, with its links",
	}), s.read)
	huma.Register(api, scoped(huma.Operation{
		OperationID: "cancel-consultation", Method: http.MethodDelete, Path: "/v1/consultations/{id}",
		Summary: "Cancel a consultation and end it for everybody", DefaultStatus: http.StatusNoContent,
	}), s.cancel)
	huma.Register(api, scoped(huma.Operation{
		OperationID: "revoke-invitation", Method: http.MethodDelete, Path: "/v1/consultations/{id}/participants/{pid}",
		Summary: "Revoke one participant's link and end their session", DefaultStatus: http.StatusNoContent,
	}), s.revoke)
	s.registerChanges(api, scoped)
	s.registerReport(api, scoped)
}

func (s *Server) create(ctx context.Context, in *createInput) (*createOutput, error) {
	now := s.deps.Clock()
	rec, err := s.newRecord(now, tenantOf(ctx), in.Body)
	if err != nil {
		return nil, problemOf(err)
	}
	if s.kept.Load() >= int64(s.cfg.Limits.Consultations) {
		return nil, problemOf(store.ErrFull)
	}
	known, err := s.records.load(ctx, rec.ID)
	isNew := errors.Is(err, store.ErrNotFound)
	if isNew {
		if err := s.witness(ctx, true, s.byKey(ctx, audit.ConsultationCreated, rec.ID)); err != nil {
			return nil, problemOf(err)
		}
		if err = s.records.create(ctx, rec); errors.Is(err, store.ErrExists) {
			// Two requests at once: the other was first.
			isNew = false
			event := s.byKey(ctx, audit.ConsultationCreated, rec.ID)
			event.Outcome, event.Reason = audit.OutcomeFailed, "exists"
			_ = s.witness(ctx, false, event)
			known, err = s.records.load(ctx, rec.ID)
		}
	}
	if err == nil && !isNew {
		if known.BodyHash != rec.BodyHash {
			err = problem(http.StatusConflict, wire.CodeExternalIDConflict, "the external_id is that of a consultation with another body")
		}
		rec = known
	}
	if err != nil {
		return nil, s.internal("create consultation", err)
	}
	s.invitations.add(rec)
	out := &createOutput{Status: http.StatusOK}
	if isNew {
		out.Status = http.StatusCreated
		s.kept.Add(1)
		s.deps.Log.Info("consultation created", "consultation", rec.ID, "participants", len(rec.People))
	}
	out.Body = s.view(now, rec)
	for i, p := range rec.People {
		out.Body.Participants[i] = s.viewPerson(rec, p, isNew)
	}
	return out, nil
}

// newRecord returns the record that a request asks for.
func (s *Server) newRecord(now time.Time, tenant string, b NewConsultation) (record, error) {
	if most := s.cfg.Limits.Participants; b.MaxParticipants > most {
		return record{}, problem(http.StatusUnprocessableEntity, wire.CodeBadRequest,
			fmt.Sprintf("max_participants: this server takes at most %d (signaling.limits.participants)", most))
	}
	body, err := json.Marshal(b)
	if err != nil {
		return record{}, err
	}
	rec := record{
		Tenant: tenant, ExternalID: b.ExternalID, BodyHash: hashOf(string(body)), Profile: b.Profile, VideoCodec: b.VideoCodec,
		Policy: consult.Policy{Lobby: b.Lobby == nil || *b.Lobby, Group: b.Group, MaxParticipants: b.MaxParticipants, Recording: b.Recording},
	}
	if rec.ID = s.tokens.consultation(tenant, b.ExternalID); b.ExternalID == "" {
		if rec.ID, err = s.tokens.newID("c_"); err != nil {
			return record{}, err
		}
	}
	rec.Start = now
	if b.Start != nil {
		rec.Start = *b.Start
	}
	rec.End = rec.Start.Add(defaultLength)
	if b.End != nil {
		rec.End = *b.End
	}
	rec.Start, rec.End = rec.Start.UTC().Truncate(time.Second), rec.End.UTC().Truncate(time.Second)
	rec.From, rec.To = rec.Start.Add(-s.cfg.WindowLead), rec.End.Add(s.cfg.WindowTrail)
	for _, p := range b.Participants {
		invited, err := s.newPerson(p)
		if err != nil {
			return record{}, err
		}
		rec.People = append(rec.People, invited)
	}
	return rec, s.checkRecord(now, rec)
}

// checkRecord refuses what the schema cannot.
func (s *Server) checkRecord(now time.Time, rec record) error {
	err := rec.spec().Validate()
	most := max(maxPeople, s.cfg.Limits.Participants)
	switch {
	case errors.Is(err, consult.ErrTwoPatients):
		return refusal(wire.CodeTwoPatients, err.Error())
	case err != nil:
		return problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, err.Error())
	case rec.recording() != wire.PolicyNever && s.deps.Recorder == nil:
		return refusal(wire.CodeNotSupported, `recording: this server records nothing; only "never" is possible`)
	case len(rec.People) > most:
		return problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, fmt.Sprintf("participants: at most %d can be invited", most))
	case !rec.End.After(rec.Start):
		return problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, "end must be after start")
	case rec.End.Sub(rec.Start) > maxLength:
		return problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, "a consultation may last 24 hours")
	case !now.Before(rec.To):
		return problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, "the consultation is over already")
	case rec.Start.Sub(now) > maxAhead:
		return problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, "a consultation may be planned 10 years ahead")
	}
	return nil
}

func (s *Server) list(ctx context.Context, in *listInput) (*listOutput, error) {
	out := &listOutput{Body: listBody{Consultations: []Consultation{}}}
	rec, err := s.records.load(ctx, s.tokens.consultation(tenantOf(ctx), in.ExternalID))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return out, nil
	case err != nil:
		return nil, s.internal("find consultation", err)
	}
	out.Body.Consultations = append(out.Body.Consultations, s.view(s.deps.Clock(), rec))
	return out, nil
}

func (s *Server) read(ctx context.Context, in *pathInput) (*consultationOutput, error) {
	rec, err := s.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &consultationOutput{Body: s.view(s.deps.Clock(), rec)}, nil
}

func (s *Server) cancel(ctx context.Context, in *pathInput) (*struct{}, error) {
	rec, err := s.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !rec.Ended.IsZero() {
		return nil, nil
	}
	_ = s.witness(ctx, false, s.byKey(ctx, audit.ConsultationCancelled, in.ID))
	// Written before the room is told: see rooms.acquire.
	if err := s.records.keep(ctx, in.ID, s.deps.Clock(), consult.Effects{Over: wire.EndedCancelled}); err != nil {
		return nil, s.internal("cancel consultation", err)
	}
	s.deps.Log.Info("consultation cancelled", "consultation", in.ID)
	return nil, s.tell(ctx, in.ID, func(r *room) { r.cancel(wire.EndedCancelled) })
}

func (s *Server) revoke(ctx context.Context, in *participantInput) (*struct{}, error) {
	rec, err := s.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p := rec.find(in.ParticipantID)
	switch {
	case p == nil:
		return nil, notFound()
	case p.Revoked:
		return nil, nil
	}
	event := s.byKey(ctx, audit.InvitationRevoked, in.ID)
	event.Subject = p.subject()
	_ = s.witness(ctx, false, event)
	if err := s.records.keep(ctx, in.ID, s.deps.Clock(), consult.Effects{Revoked: []string{in.ParticipantID}}); err != nil {
		return nil, s.internal("revoke invitation", err)
	}
	s.deps.Log.Info("invitation revoked", "consultation", in.ID, "participant", in.ParticipantID)
	return nil, s.tell(ctx, in.ID, func(r *room) { r.revoke(in.ParticipantID) })
}

// tell runs f in the room of a consultation, if it is live.
func (s *Server) tell(ctx context.Context, id string, f func(*room)) error {
	r := s.rooms.lookup(id)
	if r == nil {
		return nil
	}
	defer s.rooms.release(r)
	if err := r.do(ctx, func() { f(r) }); err != nil {
		return problemOf(err)
	}
	return nil
}

// own returns the record of a consultation of the key's tenant. Another tenant's is not found: not
// even its existence is told.
func (s *Server) own(ctx context.Context, id string) (record, error) {
	rec, err := s.records.load(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrBadKey), err == nil && rec.Tenant != tenantOf(ctx):
		return record{}, notFound()
	case err != nil:
		return record{}, s.internal("read consultation", err)
	}
	return rec, nil
}

func notFound() error {
	return problem(http.StatusNotFound, wire.CodeNotFound, "there is no such consultation or participant")
}

// internal logs what the client must not see.
func (s *Server) internal(what string, err error) error {
	p := problemOf(err)
	if p.Code == wire.CodeInternal {
		s.deps.Log.Error("request failed", "what", what, "error", err)
	}
	return p
}

func (s *Server) view(now time.Time, rec record) Consultation {
	v := Consultation{
		ID: rec.ID, ExternalID: rec.ExternalID, State: rec.state(now), Start: rec.Start, End: rec.End,
		Window: Window{From: rec.From, To: rec.To}, Profile: rec.Profile, VideoCodec: rec.VideoCodec, Recording: rec.recording(),
		MaxParticipants: rec.Policy.MaxParticipants, Group: rec.Policy.Group, Lobby: rec.Policy.Lobby,
	}
	for _, p := range rec.People {
		v.Participants = append(v.Participants, s.viewPerson(rec, p, false))
	}
	return v
}
