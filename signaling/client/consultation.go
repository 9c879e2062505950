package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// NewConsultation is what Create opens. Everything but Participants may be left out.
type NewConsultation struct {
	// ExternalID is the scheduler's own id: the same id with the same content gives the same
	// consultation and links, however often it is asked for.
	ExternalID string    `json:"external_id,omitempty"`
	Start      time.Time `json:"start,omitzero"` // now by default
	End        time.Time `json:"end,omitzero"`   // an hour after the start by default
	// Profile is what to keep when bandwidth is short: general, motion (frames) or detail (resolution).
	Profile         string           `json:"profile,omitempty"`
	VideoCodec      string           `json:"video_codec,omitempty"`      // VP8 by default, or H264
	Recording       string           `json:"recording,omitempty"`        // never by default
	MaxParticipants int              `json:"max_participants,omitempty"` // connected at once; 8 by default
	Group           bool             `json:"group,omitempty"`            // allows more than one patient
	Lobby           *bool            `json:"lobby,omitempty"`            // whether people wait to be admitted; true by default
	Participants    []NewParticipant `json:"participants"`
}

// NewParticipant is a person or a device to invite.
type NewParticipant struct {
	Ref  string    `json:"ref,omitempty"` // the scheduler's identifier: opaque, never a name or a record number
	Role wire.Role `json:"role"`
	// Display is the name that the others see.
	Display string `json:"display,omitempty"`
	// ProxyFor is for a carer who decides for the patient: the patient's ref.
	ProxyFor string `json:"proxy_for,omitempty"`
	// Watch is for a device that receives what is said and shown, such as a wall display.
	Watch bool `json:"watch,omitempty"`
	// PIN asks for a PIN, which is shown once, in the answer, and goes to the person by another way
	// than the link.
	PIN bool `json:"pin,omitempty"`
}

// Change is what Update changes. What is left out stays as it is, and so do the links.
type Change struct {
	Start   time.Time `json:"start,omitzero"` // alone, it moves the end with it
	End     time.Time `json:"end,omitzero"`
	Profile string    `json:"profile,omitempty"`
	Lobby   *bool     `json:"lobby,omitempty"`
	Group   *bool     `json:"group,omitempty"`
	// Recording is never, ask or required; a recording that the new policy does not allow stops.
	Recording string `json:"recording,omitempty"`
}

// Consultation is one as the server has it.
type Consultation struct {
	ID              string        `json:"id"`
	ExternalID      string        `json:"external_id,omitempty"`
	State           string        `json:"state"` // scheduled, open, in_progress, ended, cancelled
	Start           time.Time     `json:"start"`
	End             time.Time     `json:"end"`
	Window          Window        `json:"window"`
	Profile         string        `json:"profile"`
	VideoCodec      string        `json:"video_codec"`
	Recording       string        `json:"recording"`
	MaxParticipants int           `json:"max_participants"`
	Group           bool          `json:"group"`
	Lobby           bool          `json:"lobby"`
	Participants    []Participant `json:"participants"`
}

// Window is when a consultation can be joined: From <= t < To.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Participant is one invited person or device.
type Participant struct {
	ID       string    `json:"id"`
	Ref      string    `json:"ref,omitempty"`
	Role     wire.Role `json:"role"`
	ProxyFor string    `json:"proxy_for,omitempty"`
	Watch    bool      `json:"watch,omitempty"`
	Revoked  bool      `json:"revoked,omitempty"`
	// PINRequired tells that the link alone lets nobody in. PIN is there once, in the answer to the
	// request that invited the person.
	PINRequired bool   `json:"pin_required,omitempty"`
	PIN         string `json:"pin,omitempty"`
	// JoinURL is the person's own link, and a secret: it lets in whoever opens it.
	JoinURL string `json:"join_url,omitempty"`
}

// Create opens a consultation. With an ExternalID it may be repeated, also by the caller; the code
// external_id_conflict tells that the id is that of another.
func (c *Client) Create(ctx context.Context, n NewConsultation) (Consultation, error) {
	var got Consultation
	err := c.do(ctx, request{
		method: http.MethodPost, path: []string{"consultations"}, body: n, repeatable: n.ExternalID != "",
	}, &got)
	return got, err
}

// Get reads a consultation.
func (c *Client) Get(ctx context.Context, id string) (Consultation, error) {
	var got Consultation
	err := c.do(ctx, request{method: http.MethodGet, path: []string{"consultations", id}, repeatable: true}, &got)
	return got, err
}

// Find reads the consultation with an external id, or returns ErrNotFound.
func (c *Client) Find(ctx context.Context, externalID string) (Consultation, error) {
	var got struct {
		Consultations []Consultation `json:"consultations"`
	}
	err := c.do(ctx, request{
		method: http.MethodGet, path: []string{"consultations"}, query: url.Values{"external_id": {externalID}}, repeatable: true,
	}, &got)
	switch {
	case err != nil:
		return Consultation{}, err
	case len(got.Consultations) == 0:
		return Consultation{}, ErrNotFound
	}
	return got.Consultations[0], nil
}

// Update moves a consultation or changes its rules.
func (c *Client) Update(ctx context.Context, id string, change Change) (Consultation, error) {
	var got Consultation
	err := c.do(ctx, request{method: http.MethodPatch, path: []string{"consultations", id}, body: change, repeatable: true}, &got)
	return got, err
}

// Invite adds a participant. It is never repeated: it would invite twice.
func (c *Client) Invite(ctx context.Context, id string, p NewParticipant) (Participant, error) {
	var got Participant
	err := c.do(ctx, request{method: http.MethodPost, path: []string{"consultations", id, "participants"}, body: p}, &got)
	return got, err
}

// Cancel cancels a consultation and ends it for everybody. Cancelling again does nothing.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: []string{"consultations", id}, repeatable: true}, nil)
}

// Revoke withdraws one participant's link and ends their session. Revoking again does nothing.
func (c *Client) Revoke(ctx context.Context, id, participant string) error {
	return c.do(ctx, request{
		method: http.MethodDelete, path: []string{"consultations", id, "participants", participant}, repeatable: true,
	}, nil)
}
