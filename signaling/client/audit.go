package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AuditQuery says which records Audit reads.
type AuditQuery struct {
	// After is how many records of the log are skipped: 0 for all, and for those after a record its
	// Index + 1.
	After uint64
	// Consultation is the id of the only consultation of interest, if not empty.
	Consultation string
}

// AuditRecord is one entry of the audit log. It holds identifiers and codes, never names.
type AuditRecord struct {
	Index        uint64       `json:"index"`
	Node         string       `json:"node"` // the server that wrote it
	Time         time.Time    `json:"time"`
	Name         string       `json:"name"` // what happened
	Tenant       string       `json:"tenant,omitempty"`
	Consultation string       `json:"consultation,omitempty"`
	Actor        AuditActor   `json:"actor,omitzero"`   // who did it
	Subject      AuditSubject `json:"subject,omitzero"` // to whom or what
	Outcome      string       `json:"outcome,omitempty"`
	Reason       string       `json:"reason,omitempty"`
	Net          string       `json:"net,omitempty"` // the network it came from, a /24 or /48
	Request      string       `json:"request,omitempty"`
	Session      string       `json:"session,omitempty"`
}

// AuditActor is who did something.
type AuditActor struct {
	Kind string `json:"kind,omitempty"` // participant, key, server, operator
	ID   string `json:"id,omitempty"`
	Role string `json:"role,omitempty"`
	Ref  string `json:"ref,omitempty"`
}

// AuditSubject is whom or what it was done to.
type AuditSubject struct {
	ID   string `json:"id,omitempty"`
	Role string `json:"role,omitempty"`
	Ref  string `json:"ref,omitempty"`
}

// auditPage is one answer.
type auditPage struct {
	Records []AuditRecord `json:"records"`
	Next    uint64        `json:"next"`
	More    bool          `json:"more"`
}

// Audit reads the audit log of the key's tenant, oldest first, page by page while it is ranged over.
// It ends with the records that there are, or with the first error. Reading is recorded, too.
func (c *Client) Audit(ctx context.Context, q AuditQuery) iter.Seq2[AuditRecord, error] {
	return func(yield func(AuditRecord, error) bool) {
		for {
			query := url.Values{"after": {strconv.FormatUint(q.After, 10)}, "limit": {"1000"}}
			if q.Consultation != "" {
				query.Set("consultation", q.Consultation)
			}
			var page auditPage
			if err := c.do(ctx, request{method: http.MethodGet, path: []string{"audit"}, query: query, repeatable: true}, &page); err != nil {
				yield(AuditRecord{}, err)
				return
			}
			for _, r := range page.Records {
				if !yield(r, nil) {
					return
				}
			}
			if !page.More || page.Next <= q.After {
				return
			}
			q.After = page.Next
		}
	}
}
