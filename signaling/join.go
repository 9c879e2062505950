package signaling

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

type (
	joinBody struct {
		Invitation string `json:"invitation" minLength:"1" maxLength:"64" doc:"What follows # in the participant's link"`
		PIN        string `json:"pin,omitempty" maxLength:"16" doc:"With an invitation that needs one: see pin_required"`
	}
	joinInput struct {
		remote string
		Body   joinBody
	}
	joinOutput struct{ Body Joining }
)

// Joining is the answer to POST /v1/join: how to open a session, and what may be shown before that.
type Joining struct {
	Token     string     `json:"token" doc:"For the first message of the session. It works once"`
	Connect   string     `json:"connect" doc:"Where to open the WebSocket, relative to this URL" example:"/v1/connect"`
	ExpiresIn int        `json:"expires_in" doc:"Seconds until the token expires" example:"60"`
	Role      wire.Role  `json:"role"`
	Display   string     `json:"display,omitempty"`
	Proxy     bool       `json:"proxy,omitempty" doc:"A guardian: a carer who decides for the patient"`
	State     string     `json:"state" enum:"open,in_progress"`
	Window    Window     `json:"window"`
	Facts     wire.Facts `json:"facts"`
	Recording string     `json:"recording" enum:"never,ask,required" doc:"Whether the consultation may be recorded"`
	Notice    string     `json:"notice,omitempty" doc:"The version of the notice to consent to, unless nothing is ever recorded"`
}

// Resolve implements huma.Resolver: it is how a handler learns the client's address.
func (in *joinInput) Resolve(ctx huma.Context) []error {
	in.remote = ctx.RemoteAddr()
	return nil
}

func (s *Server) registerJoin(api huma.API) {
	o := huma.Operation{
		OperationID: "join", Method: http.MethodPost, Path: "/v1/join", Tags: []string{"sessions"},
		Summary: "Exchange an invitation for a session token",
		Middlewares: huma.Middlewares{s.allowOrigin, func(ctx huma.Context, next func(huma.Context)) {
			if err := s.checkJoin(ctx); err != nil {
				s.metrics.requests.WithLabelValues(outcomeOf(err)).Inc()
				if outcomeOf(err) == wire.CodeTokenInURL {
					s.refused(audit.InvitationRefused, &audit.Event{Net: prefixOf(ctx.RemoteAddr())}, err)
				}
				refuse(api, ctx, err)
				return
			}
			next(ctx)
		}},
	}
	huma.Register(api, operation(api, o), s.join)
}

// checkJoin refuses before anything is read.
func (s *Server) checkJoin(ctx huma.Context) error {
	u := ctx.URL()
	switch {
	case u.RawQuery != "":
		return refusal(wire.CodeTokenInURL, "this URL takes no parameters: the invitation goes into the body")
	case s.sessions.draining():
		return refusal(wire.CodeUnavailable, "the server is stopping")
	case !s.joins.take(s.deps.Clock(), ctx.RemoteAddr()):
		return refusal(wire.CodeRateLimited, "too many requests from this address: try again in a few seconds")
	}
	return nil
}

func (s *Server) join(ctx context.Context, in *joinInput) (*joinOutput, error) {
	out, err := s.exchange(ctx, in)
	s.metrics.requests.WithLabelValues(outcomeOf(err)).Inc()
	if err != nil {
		return nil, s.internal("join", err)
	}
	return &joinOutput{Body: out}, nil
}

func (s *Server) exchange(ctx context.Context, in *joinInput) (Joining, error) {
	of, known := s.invitations.find(in.Body.Invitation)
	if !known {
		err := refusal(wire.CodeInvitationUnknown, "there is no such invitation")
		s.refused(audit.InvitationRefused, &audit.Event{Net: prefixOf(in.remote)}, err)
		return Joining{}, err
	}
	rec, err := s.records.load(ctx, of.consultation)
	if errors.Is(err, store.ErrNotFound) {
		return Joining{}, refusal(wire.CodeInvitationUnknown, "there is no such invitation")
	}
	if err != nil {
		return Joining{}, err
	}
	now := s.deps.Clock()
	p := rec.find(of.participant)
	event := audit.Event{Time: now, Name: audit.InvitationExchanged, Tenant: rec.Tenant, Consultation: rec.ID,
		Outcome: audit.OutcomeOK, Net: prefixOf(in.remote)}
	if p != nil {
		event.Actor = p.actor()
	}
	if err := checkInvitation(now, rec, p, of.epoch); err != nil {
		s.refused(audit.InvitationRefused, &event, err)
		return Joining{}, err
	}
	if p.PIN {
		if err := s.checkPIN(now, rec, p, in.Body.PIN, in.remote); err != nil {
			return Joining{}, err
		}
	}
	if err := s.witness(ctx, true, event); err != nil {
		return Joining{}, err
	}
	token, err := s.tokens.session(rec.ID, p.ID, p.Epoch)
	if err != nil {
		return Joining{}, err
	}
	s.deps.Log.Info("invitation exchanged", "consultation", rec.ID, "participant", p.ID)
	joining := Joining{
		Token: token, Connect: "/v1/connect", ExpiresIn: int(sessionTokenLife.Seconds()),
		Role: p.Role, Display: p.Display, Proxy: p.ProxyFor != "", State: rec.state(now),
		Window: Window{From: rec.From, To: rec.To}, Facts: s.facts(rec), Recording: s.recordingOf(rec),
	}
	if joining.Recording != wire.PolicyNever {
		joining.Notice = s.deps.Notice
	}
	return joining, nil
}

// checkInvitation refuses an invitation that is worthless, or not good now. p is nil for nobody.
func checkInvitation(now time.Time, rec record, p *person, epoch uint32) error {
	switch {
	case p == nil || p.Revoked || p.Epoch != epoch:
		return refusal(wire.CodeInvitationRevoked, "the invitation has been withdrawn")
	case !rec.Ended.IsZero():
		return refusal(wire.CodeConsultationEnded, "the consultation is over")
	}
	return rec.spec().CheckWindow(now)
}

// facts are those of the live consultation, if it is live.
func (s *Server) facts(rec record) wire.Facts {
	f := wire.Facts{Start: stamp(rec.Start), End: stamp(rec.End), Closes: stamp(rec.To), Started: stamp(rec.Started)}
	if r := s.rooms.lookup(rec.ID); r != nil {
		f.ClinicianPresent = r.present.Load()
		s.rooms.release(r)
	}
	return f
}

// allowOrigin lets the pages of configured portals read the answer (Fetch standard, CORS). Nothing
// here depends on cookies, so that other pages gain nothing by sending requests.
func (s *Server) allowOrigin(ctx huma.Context, next func(huma.Context)) {
	if origin := originOf(ctx); slices.Contains(s.cfg.Origins, origin) {
		ctx.SetHeader("Access-Control-Allow-Origin", origin)
		ctx.SetHeader("Access-Control-Expose-Headers", "Retry-After") // how long a PIN is locked
	}
	ctx.SetHeader("Vary", "Origin")
	next(ctx)
}

// preflight answers a browser that asks whether a page of another origin may join.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Vary", "Origin")
	if origin := strings.Join(r.Header["Origin"], ", "); slices.Contains(s.cfg.Origins, origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", http.MethodPost)
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}
