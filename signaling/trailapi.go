package signaling

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/audit"
)

type (
	trailInput struct {
		After        uint64 `query:"after" doc:"The next of the page before; 0 at first"`
		Limit        int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		Consultation string `query:"consultation" maxLength:"64" pattern:"^[A-Za-z0-9_-]*$" doc:"Only what concerns this consultation"`
	}
	trailOutput struct{ Body AuditPage }
)

// AuditPage is a part of the audit log.
type AuditPage struct {
	Records []audit.Record `json:"records" nullable:"false"`
	Next    uint64         `json:"next" doc:"Where the next page starts: give it as after"`
	More    bool           `json:"more" doc:"Whether there may be more already; a page may be empty and yet have a next"`
}

func (s *Server) registerTrail(api huma.API) {
	huma.Register(api, s.scoped(api, config.ScopeAudit, huma.Operation{
		OperationID: "read-audit", Method: http.MethodGet, Path: "/v1/audit", Tags: []string{"audit"},
		Summary: "Read the audit log of the key's tenant, oldest first; reading it is recorded, too",
	}), s.readTrail)
}

func (s *Server) readTrail(ctx context.Context, in *trailInput) (*trailOutput, error) {
	if err := s.witness(ctx, true, s.byKey(ctx, audit.AuditRead, in.Consultation)); err != nil {
		return nil, problemOf(err)
	}
	page, err := s.deps.Audit.Read(ctx, audit.Query{
		After: in.After, Limit: in.Limit, Tenant: tenantOf(ctx), Consultation: in.Consultation,
	})
	if err != nil {
		return nil, s.internal("read the audit log", err)
	}
	out := &trailOutput{Body: AuditPage{Records: page.Records, Next: page.Next, More: page.Next < page.Size}}
	if out.Body.Records == nil {
		out.Body.Records = []audit.Record{}
	}
	return out, nil
}
