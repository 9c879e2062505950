package signaling

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Problem is an RFC 9457 problem document, with the code that clients branch on.
type Problem struct {
	Title    string         `json:"title" doc:"The status in words"`
	Status   int            `json:"status" doc:"HTTP status code"`
	Code     string         `json:"code" doc:"What is wrong, stable: clients branch on it" example:"not_yet_open"`
	Detail   string         `json:"detail,omitempty" doc:"What is wrong, for people"`
	OpensAt  string         `json:"opens_at,omitempty" format:"date-time" doc:"With not_yet_open: when the consultation opens"`
	ClosedAt string         `json:"closed_at,omitempty" format:"date-time" doc:"With window_closed: when it closed"`
	Errors   []ProblemField `json:"errors,omitempty" nullable:"false" doc:"With bad_request: every field that is wrong"`

	retryAfter time.Duration // zero: see retryAfterSeconds
}

// ProblemField says what is wrong with one field of a request. It never repeats the value.
type ProblemField struct {
	Location string `json:"location,omitempty" example:"body.participants[0].role"`
	Message  string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError: it says when trying again makes sense (RFC 9110 section
// 10.2.3).
func (p *Problem) GetHeaders() http.Header {
	h := make(http.Header)
	switch {
	case p.retryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	case p.Status == http.StatusTooManyRequests, p.Status == http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfterSeconds)
	case p.Status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

// problem returns a problem document.
func problem(status int, code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// problemOf makes of any error what a client may see of it.
func problemOf(err error) *Problem {
	var already *Problem
	if errors.As(err, &already) {
		return already
	}
	if errors.Is(err, store.ErrFull) {
		return problem(http.StatusTooManyRequests, wire.CodeUnavailable, "the server keeps as many consultations as it may")
	}
	if errors.Is(err, store.ErrUnavailable) {
		return problem(http.StatusServiceUnavailable, wire.CodeUnavailable, "the server cannot look it up or write it down")
	}
	m := errorMessage(err)
	p := problem(statusOf(m.Code), m.Code, m.Detail)
	p.OpensAt, p.ClosedAt = m.OpensAt, m.ClosedAt
	return p
}

// statusOf is the HTTP status of a code.
func statusOf(code string) int {
	switch code {
	case wire.CodeBadMessage, wire.CodeBadRequest, wire.CodeTokenInURL, wire.CodeBadSDP:
		return http.StatusBadRequest
	case wire.CodeUnauthorized, wire.CodeTokenInvalid, wire.CodeTokenExpired, wire.CodeTokenUsed:
		return http.StatusUnauthorized
	case wire.CodeForbidden, wire.CodeNotYetOpen, wire.CodePINRequired, wire.CodePINWrong:
		return http.StatusForbidden
	case wire.CodeNotFound, wire.CodeInvitationUnknown:
		return http.StatusNotFound
	case wire.CodeExternalIDConflict, wire.CodeConsultationFull:
		return http.StatusConflict
	case wire.CodeInvitationRevoked, wire.CodeWindowClosed, wire.CodeConsultationEnded:
		return http.StatusGone
	case wire.CodeMessageTooLarge:
		return http.StatusRequestEntityTooLarge
	case wire.CodeTwoPatients, wire.CodeNotSupported, wire.CodeCodecMismatch, wire.CodeBadSource:
		return http.StatusUnprocessableEntity
	case wire.CodeRateLimited, wire.CodePINLocked:
		return http.StatusTooManyRequests
	case wire.CodeUnavailable, wire.CodeAuditUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// asProblem turns huma's own errors into problems. It is a transformer because huma.NewError, the
// hook that huma's documentation offers, is a variable of the whole process. The values that huma
// repeats stay away: they may be names. So does the text of an unexpected error.
func asProblem(_ huma.Context, _ string, body any) (any, error) {
	m, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	p := problem(m.Status, codeOf(m.Status), m.Detail)
	switch {
	case m.Status >= http.StatusInternalServerError:
		return p, nil
	case m.Status == http.StatusUnsupportedMediaType: // huma's message repeats the header
		p.Detail = "the body must be application/json"
		return p, nil
	}
	for _, e := range m.Errors {
		p.Errors = append(p.Errors, ProblemField{Location: e.Location, Message: e.Message})
	}
	return p, nil
}

// codeOf is the code of an error that huma found before any handler.
func codeOf(status int) string {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return wire.CodeMessageTooLarge
	case http.StatusNotFound:
		return wire.CodeNotFound
	}
	if status >= http.StatusInternalServerError {
		return wire.CodeInternal
	}
	return wire.CodeBadRequest
}

// writeProblem answers outside huma.
func writeProblem(w http.ResponseWriter, err error) {
	p := problemOf(err)
	w.Header().Set("Content-Type", p.ContentType(""))
	maps.Copy(w.Header(), p.GetHeaders())
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// retryAfterSeconds is when those who were refused for want of room try again.
const retryAfterSeconds = "5"

// refusal returns a *consult.Error, the type of everything that is refused with a code.
func refusal(code, detail string) error { return &consult.Error{Code: code, Detail: detail} }

// stamp writes a time as the protocol does; the zero time is left out.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
