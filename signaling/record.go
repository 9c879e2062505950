package signaling

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	bucketConsultations store.Bucket = "consultations" // id -> record
	bucketSeats         store.Bucket = "seats"         // consultation -> []consult.Seat, while it is live
	bucketReports       store.Bucket = "reports"       // consultation -> quality.Timeline, compressed
)

// retention is how long the record of a consultation outlives it: names live in it.
const retention = 24 * time.Hour

// record is what is kept of a consultation. Only it holds names.
type record struct {
	ID         string         `json:"id"`
	Tenant     string         `json:"tenant"`
	ExternalID string         `json:"external_id,omitempty"`
	BodyHash   string         `json:"body_hash"` // of the request, to tell a repetition from a conflict
	Start      time.Time      `json:"start"`
	End        time.Time      `json:"end"`
	From       time.Time      `json:"from"`
	To         time.Time      `json:"to"`
	Profile    string         `json:"profile"`
	VideoCodec string         `json:"video_codec"`
	Policy     consult.Policy `json:"policy"`
	People     []person       `json:"people"`
	Started    time.Time      `json:"started,omitzero"`
	Ended      time.Time      `json:"ended,omitzero"`
	EndReason  string         `json:"end_reason,omitempty"`
}

// person is one invited participant.
type person struct {
	ID       string    `json:"id"`
	Ref      string    `json:"ref,omitempty"`
	Role     wire.Role `json:"role"`
	Display  string    `json:"display,omitempty"`
	ProxyFor string    `json:"proxy_for,omitempty"` // the ref of the patient for whom a guardian decides
	Watch    bool      `json:"watch,omitempty"`     // a device that receives
	PIN      bool      `json:"pin,omitempty"`       // the link alone does not let them in
	Epoch    uint32    `json:"epoch"`
	Revoked  bool      `json:"revoked,omitempty"`
}

func (r record) spec() consult.Spec {
	s := consult.Spec{Start: r.Start, End: r.End, From: r.From, To: r.To, Started: r.Started, Policy: r.Policy}
	for _, p := range r.People {
		s.People = append(s.People, consult.Person{
			ID: p.ID, Role: p.Role, Display: p.Display, Proxy: p.ProxyFor != "", For: r.patient(p.ProxyFor), Watch: p.Watch, Epoch: p.Epoch, Revoked: p.Revoked,
		})
	}
	return s
}

// patient returns the id of the patient with that ref, if one is invited.
func (r record) patient(ref string) string {
	i := slices.IndexFunc(r.People, func(p person) bool { return ref != "" && p.Ref == ref && p.Role == wire.RolePatient })
	if i < 0 {
		return ""
	}
	return r.People[i].ID
}

// recording is the policy of recording, as it was asked for.
func (r record) recording() string { return cmp.Or(r.Policy.Recording, wire.PolicyNever) }

func (r record) find(participant string) *person {
	for i := range r.People {
		if r.People[i].ID == participant {
			return &r.People[i]
		}
	}
	return nil
}

// state returns scheduled, open, in_progress, ended or cancelled.
func (r record) state(now time.Time) string {
	switch {
	case r.EndReason == wire.EndedCancelled:
		return "cancelled"
	case !r.Ended.IsZero() || !now.Before(r.To):
		return "ended"
	case !r.Started.IsZero():
		return "in_progress"
	case now.Before(r.From):
		return "scheduled"
	}
	return "open"
}

// expired reports whether nothing of the consultation is to be kept any more.
func (r record) expired(now time.Time) bool {
	over := r.To
	if !r.Ended.IsZero() && r.Ended.Before(over) {
		over = r.Ended
	}
	return !now.Before(over.Add(retention))
}

// records reads and writes records.
type records struct{ store store.Store }

func (r records) load(ctx context.Context, id string) (record, error) {
	rec, _, err := r.get(ctx, id)
	return rec, err
}

func (r records) get(ctx context.Context, id string) (record, uint64, error) {
	e, err := r.store.Get(ctx, bucketConsultations, id)
	if err != nil {
		return record{}, 0, err
	}
	rec, err := recordOf(e)
	return rec, e.Revision, err
}

func recordOf(e store.Entry) (record, error) {
	var rec record
	if err := json.Unmarshal(e.Value, &rec); err != nil {
		return record{}, fmt.Errorf("signaling: record of %s: %w", e.Key, err)
	}
	return rec, nil
}

// create keeps a new consultation; store.ErrExists if there is one with the id.
func (r records) create(ctx context.Context, rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("signaling: record of %s: %w", rec.ID, err)
	}
	_, err = r.store.Create(ctx, bucketConsultations, rec.ID, data)
	return err
}

// update changes a record, starting over when somebody else has changed it meanwhile.
// Nothing is written when change returns false.
func (r records) update(ctx context.Context, id string, change func(*record) bool) error {
	const attempts = 8 // writers of one consultation: its sessions and the API
	for range attempts {
		rec, revision, err := r.get(ctx, id)
		if err != nil {
			return err
		}
		if !change(&rec) {
			return nil
		}
		data, err := json.Marshal(rec)
		if err != nil {
			return fmt.Errorf("signaling: record of %s: %w", id, err)
		}
		if _, err = r.store.Update(ctx, bucketConsultations, id, data, revision); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("signaling: record of %s: %w", id, store.ErrConflict)
}

// forget deletes what is kept of a consultation. The record goes last: it is what is swept.
func (r records) forget(ctx context.Context, id string) error {
	for _, b := range []store.Bucket{bucketSeats, bucketReports} {
		if err := r.store.Delete(ctx, b, id); err != nil {
			return err
		}
	}
	return r.store.Delete(ctx, bucketConsultations, id)
}

// seats returns where everybody stood when it was last written down; none for a consultation that
// was not live.
func (r records) seats(ctx context.Context, id string) ([]consult.Seat, error) {
	e, err := r.store.Get(ctx, bucketSeats, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var seats []consult.Seat
	if err := json.Unmarshal(e.Value, &seats); err != nil {
		return nil, fmt.Errorf("signaling: seats of %s: %w", id, err)
	}
	return seats, nil
}

// keepSeats replaces what seats returns. A consultation has one writer at a time, its keeper, which
// passes the revision that the last call returned, 0 at first.
func (r records) keepSeats(ctx context.Context, id string, seats []consult.Seat, revision uint64) (uint64, error) {
	if len(seats) == 0 {
		return 0, r.store.Delete(ctx, bucketSeats, id)
	}
	data, err := json.Marshal(seats)
	if err != nil {
		return revision, fmt.Errorf("signaling: seats of %s: %w", id, err)
	}
	return r.put(ctx, bucketSeats, id, data, revision)
}

// put writes what has one writer, which passes the revision that the last call returned, 0 at first.
func (r records) put(ctx context.Context, b store.Bucket, id string, data []byte, revision uint64) (uint64, error) {
	if revision == 0 {
		created, err := r.store.Create(ctx, b, id, data)
		if !errors.Is(err, store.ErrExists) {
			return created, err
		}
		e, err := r.store.Get(ctx, b, id) // of before a restart
		if err != nil {
			return 0, err
		}
		revision = e.Revision
	}
	updated, err := r.store.Update(ctx, b, id, data, revision)
	if err != nil {
		return 0, err // whatever is there now is found out by the next attempt
	}
	return updated, nil
}

// keep writes down what a command brought about. Revoking is raised to the epoch that makes the
// invitation worthless, whoever writes first.
func (r records) keep(ctx context.Context, id string, now time.Time, e consult.Effects) error {
	if !e.Started && e.Over == "" && len(e.Revoked) == 0 {
		return nil
	}
	return r.update(ctx, id, func(rec *record) bool {
		if e.Started && rec.Started.IsZero() {
			rec.Started = now
		}
		if e.Over != "" && rec.Ended.IsZero() {
			rec.Ended, rec.EndReason = now, e.Over
		}
		for _, revoked := range e.Revoked {
			if p := rec.find(revoked); p != nil && !p.Revoked {
				p.Revoked = true
				p.Epoch++
			}
		}
		return true
	})
}
