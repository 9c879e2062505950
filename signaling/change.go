package signaling

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// ConsultationChange is the body of PATCH /v1/consultations/{id}. What is left out stays as it is.
type ConsultationChange struct {
	Start     *time.Time `json:"start,omitempty" doc:"Links stay the same. Moving the start alone moves the end with it"`
	End       *time.Time `json:"end,omitempty"`
	Profile   string     `json:"profile,omitempty" enum:"general,motion,detail" doc:"For people who join from now on"`
	Lobby     *bool      `json:"lobby,omitempty" doc:"Whoever waits already still waits"`
	Group     *bool      `json:"group,omitempty"`
	Recording string     `json:"recording,omitempty" enum:"never,ask,required" doc:"A recording that the new policy does not allow stops"`
}

type (
	changeInput struct {
		ID   string `path:"id" maxLength:"64"`
		Body ConsultationChange
	}
	inviteInput struct {
		ID   string `path:"id" maxLength:"64"`
		Body NewParticipant
	}
	inviteOutput struct{ Body Participant }
)

func (s *Server) registerChanges(api huma.API, scoped func(huma.Operation) huma.Operation) {
	huma.Register(api, scoped(huma.Operation{
		OperationID: "change-consultation", Method: http.MethodPatch, Path: "/v1/consultations/{id}",
		Summary: "Move a consultation or change its rules; links stay the same",
	}), s.change)
	huma.Register(api, scoped(huma.Operation{
		OperationID: "invite-participant", Method: http.MethodPost, Path: "/v1/consultations/{id}/participants",
		Summary: "Invite one more person or device", DefaultStatus: http.StatusCreated,
	}), s.invite)
}

func (s *Server) change(ctx context.Context, in *changeInput) (*consultationOutput, error) {
	now := s.deps.Clock()
	rec, err := s.amend(ctx, in.ID, s.byKey(ctx, audit.ConsultationUpdated, in.ID), func(rec *record) error {
		return s.apply(now, rec, in.Body)
	})
	if err != nil {
		return nil, err
	}
	s.deps.Log.Info("consultation changed", "consultation", in.ID)
	return &consultationOutput{Body: s.view(now, rec)}, nil
}

// apply changes a record as the scheduler asks.
func (s *Server) apply(now time.Time, rec *record, b ConsultationChange) error {
	length := rec.End.Sub(rec.Start)
	if b.Start != nil {
		rec.Start = b.Start.UTC().Truncate(time.Second)
		rec.End = rec.Start.Add(length)
	}
	if b.End != nil {
		rec.End = b.End.UTC().Truncate(time.Second)
	}
	if b.Profile != "" {
		rec.Profile = b.Profile
	}
	if b.Lobby != nil {
		rec.Policy.Lobby = *b.Lobby
	}
	if b.Recording != "" {
		rec.Policy.Recording = b.Recording
	}
	if b.Group != nil {
		rec.Policy.Group = *b.Group
	}
	rec.From, rec.To = rec.Start.Add(-s.cfg.WindowLead), rec.End.Add(s.cfg.WindowTrail)
	return s.checkRecord(now, *rec)
}

func (s *Server) invite(ctx context.Context, in *inviteInput) (*inviteOutput, error) {
	now := s.deps.Clock()
	p, err := s.newPerson(in.Body)
	if err != nil {
		return nil, s.internal("invite", err)
	}
	event := s.byKey(ctx, audit.InvitationCreated, in.ID)
	event.Subject = p.subject()
	rec, err := s.amend(ctx, in.ID, event, func(rec *record) error {
		rec.People = append(rec.People, p)
		return s.checkRecord(now, *rec)
	})
	if err != nil {
		return nil, err
	}
	s.invitations.add(rec)
	s.deps.Log.Info("participant invited", "consultation", in.ID, "participant", p.ID)
	return &inviteOutput{Body: s.viewPerson(rec, p, true)}, nil
}

// amend changes the record of a consultation of the key's tenant: checked first, then written down
// in the audit log, then done, then told to the room if it is live.
func (s *Server) amend(ctx context.Context, id string, event audit.Event, change func(*record) error) (record, error) {
	rec, err := s.own(ctx, id)
	if err != nil {
		return record{}, err
	}
	guarded := func(rec *record) error {
		if !rec.Ended.IsZero() || !s.deps.Clock().Before(rec.To) {
			return refusal(wire.CodeConsultationEnded, "the consultation is over")
		}
		return change(rec)
	}
	if err := guarded(&rec); err != nil {
		return record{}, s.internal("change consultation", err)
	}
	if err := s.witness(ctx, true, event); err != nil {
		return record{}, problemOf(err)
	}
	if rec, err = s.records.change(ctx, id, guarded); err != nil {
		return record{}, s.internal("change consultation", err)
	}
	return rec, s.tell(ctx, id, func(r *room) { r.reload(rec) })
}

// reload takes over a changed record.
func (r *room) reload(rec record) {
	if r.consult == nil || r.broken != nil {
		return
	}
	if err := r.consult.Change(r.rooms.server.spec(rec)); err != nil {
		r.log.Error("the change cannot be taken over while people are here", "error", err)
		return
	}
	r.record = rec
	r.policy.Profile, r.policy.Recording, r.policy.Notice = rec.Profile, r.rooms.server.recordingOf(rec), ""
	if r.policy.Recording != wire.PolicyNever {
		r.policy.Notice = r.rooms.server.deps.Notice
	}
	r.carry(r.consult.Tick(r.now()))
	r.settle()
}

// newPerson makes a participant of a request.
func (s *Server) newPerson(p NewParticipant) (person, error) {
	id, err := s.tokens.newID("p_")
	if err != nil {
		return person{}, err
	}
	if p.ProxyFor != "" && p.Role != wire.RoleCarer {
		return person{}, problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, consult.ErrProxy.Error()+": proxy_for needs the role carer")
	}
	if p.Watch && p.Role != wire.RoleDevice {
		return person{}, problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, consult.ErrWatch.Error())
	}
	return person{ID: id, Ref: p.Ref, Role: p.Role, Display: p.Display, ProxyFor: p.ProxyFor, Watch: p.Watch, PIN: p.PIN}, nil
}

// viewPerson is what the API tells of a participant; the PIN only when it is new.
func (s *Server) viewPerson(rec record, p person, isNew bool) Participant {
	v := Participant{ID: p.ID, Ref: p.Ref, Role: p.Role, ProxyFor: p.ProxyFor, Watch: p.Watch, Revoked: p.Revoked, PINRequired: p.PIN}
	if !p.Revoked {
		v.JoinURL = s.deps.PublicURL + "/j/#" + s.tokens.invitation(rec.ID, p.ID, p.Epoch)
	}
	if p.PIN && isNew {
		v.PIN = s.tokens.pin(rec.ID, p.ID, p.Epoch)
	}
	return v
}

// change changes a record unless f returns an error, starting over when somebody else has changed it
// meanwhile. It returns the record as it is then.
func (r records) change(ctx context.Context, id string, f func(*record) error) (record, error) {
	var refused error
	var changed record
	err := r.update(ctx, id, func(rec *record) bool {
		if refused = f(rec); refused != nil {
			return false
		}
		changed = *rec
		return true
	})
	return changed, errors.Join(refused, err)
}
