package client

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// ErrNotFound is every Problem with the code not_found, and what Find returns when it finds nothing.
var ErrNotFound = errors.New("not found")

// Problem is the server's refusal, an RFC 9457 problem document.
type Problem struct {
	Title  string `json:"title"`  // the status in words
	Status int    `json:"status"` // HTTP status code
	// Code says what is wrong and is stable: branch on it. It is empty in the answer of something
	// between here and the server.
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"` // what is wrong, for people
	// OpensAt comes with the code not_yet_open and ClosedAt with window_closed.
	OpensAt  time.Time `json:"opens_at,omitzero"`
	ClosedAt time.Time `json:"closed_at,omitzero"`
	// Errors name every field that is wrong, with the code bad_request.
	Errors []ProblemField `json:"errors,omitempty"`
}

// ProblemField says what is wrong with one field of a request.
type ProblemField struct {
	Location string `json:"location,omitempty"` // such as body.participants[0].role
	Message  string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Code)
	if p.Code == "" {
		b.WriteString(p.Title)
	}
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, e := range p.Errors {
		b.WriteString("; " + e.Location + ": " + e.Message)
	}
	return b.String()
}

// Is makes errors.Is(err, ErrNotFound) work.
func (p *Problem) Is(target error) bool { return target == ErrNotFound && p.Code == "not_found" }

// problemOf returns what an answer says is wrong.
func problemOf(resp *http.Response, answer []byte) *Problem {
	p := &Problem{}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if kind != "application/problem+json" || json.Unmarshal(answer, p) != nil || p.Code == "" {
		*p = Problem{Title: http.StatusText(resp.StatusCode)}
	}
	p.Status = resp.StatusCode
	return p
}
