package client_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/client"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

const key, otherKey = "key-of-tenant-one", "key-of-tenant-two"

// noMedia is the media plane of a server that nobody joins.
type noMedia struct{}

func (noMedia) OpenRoom(string, sfu.RoomOptions) (signaling.MediaRoom, error) {
	return nil, errors.New("nobody joins in these tests")
}

func (noMedia) Check(context.Context, string, sfu.CheckHandler) (string, error) {
	return "", errors.New("nobody checks in these tests")
}

// newServer is the real handler behind a real socket.
func newServer(t *testing.T) (url string) {
	t.Helper()
	cfg := config.Default().Signaling
	for _, k := range []struct{ id, key string }{{"one", key}, {"two", otherKey}} {
		hash := sha256.Sum256([]byte(k.key))
		cfg.APIKeys = append(cfg.APIKeys, config.APIKey{ID: k.id, Tenant: k.id, Hash: hex.EncodeToString(hash[:]), Scopes: config.Scopes()})
	}
	s, err := signaling.New(cfg, signaling.Deps{
		Media: noMedia{}, Store: store.NewMap(1000), Audit: audit.NewMemory("test", 10_000), PublicURL: "https://video.example",
		Clock: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return h.URL
}

func newClient(t *testing.T, url, key string) *client.Client {
	t.Helper()
	c, err := client.New(url, key, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestScheduling is a consultation's life as a scheduler sees it, with the server's own handler.
func TestScheduling(t *testing.T) {
	url := newServer(t)
	ctx, c := t.Context(), newClient(t, url, key)
	start := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	lobby := false
	asked := client.NewConsultation{
		ExternalID: "appointment-1", Start: start, Profile: "detail", VideoCodec: "H264", Recording: "never", MaxParticipants: 4,
		Group: true, Lobby: &lobby,
		Participants: []client.NewParticipant{
			{Ref: "practitioner-42", Role: wire.RoleClinician, Display: "Dr Lee"},
			{Ref: "patient-7", Role: wire.RolePatient, Display: "Sam Novak", PIN: true},
			{Ref: "guardian-9", Role: wire.RoleCarer, ProxyFor: "patient-7"},
		},
	}
	opened, err := c.Create(ctx, asked)
	if err != nil {
		t.Fatal(err)
	}
	if opened.ID == "" || opened.ExternalID != asked.ExternalID || opened.State != "scheduled" || !opened.Start.Equal(start) ||
		!opened.End.Equal(start.Add(time.Hour)) || !opened.Window.From.Before(start) || !opened.Window.To.After(opened.End) ||
		opened.Profile != "detail" || opened.VideoCodec != "H264" || opened.Recording != "never" || opened.MaxParticipants != 4 ||
		!opened.Group || opened.Lobby || len(opened.Participants) != 3 {
		t.Errorf("opened %+v", opened)
	}
	for i, p := range opened.Participants {
		a := asked.Participants[i]
		if p.ID == "" || p.JoinURL == "" || p.Ref != a.Ref || p.Role != a.Role || p.ProxyFor != a.ProxyFor || p.PINRequired != a.PIN || (p.PIN != "") != a.PIN {
			t.Errorf("participant %+v, asked for %+v", p, a)
		}
	}
	again, err := c.Create(ctx, asked)
	if err != nil || again.ID != opened.ID || again.Participants[1].JoinURL != opened.Participants[1].JoinURL || again.Participants[1].PIN != "" {
		t.Errorf("created again: %+v, %v; want the same links and no PIN", again, err)
	}
	if found, err := c.Find(ctx, asked.ExternalID); err != nil || found.ID != opened.ID {
		t.Errorf("found %+v, %v", found, err)
	}
	lobby = true
	moved, err := c.Update(ctx, opened.ID, client.Change{Start: start.Add(time.Hour), Lobby: &lobby})
	if err != nil || !moved.Start.Equal(start.Add(time.Hour)) || !moved.End.Equal(start.Add(2*time.Hour)) || !moved.Lobby || moved.Profile != "detail" {
		t.Errorf("moved %+v, %v", moved, err)
	}
	invited, err := c.Invite(ctx, opened.ID, client.NewParticipant{Ref: "interpreter-3", Role: wire.RoleInterpreter})
	if err != nil || invited.JoinURL == "" || invited.Role != wire.RoleInterpreter {
		t.Errorf("invited %+v, %v", invited, err)
	}
	for range 2 {
		if err := c.Revoke(ctx, opened.ID, invited.ID); err != nil {
			t.Errorf("revoke: %v", err)
		}
	}
	got, err := c.Get(ctx, opened.ID)
	if err != nil || len(got.Participants) != 4 || !got.Participants[3].Revoked || got.Participants[3].JoinURL != "" {
		t.Errorf("got %+v, %v; want the fourth link withdrawn", got, err)
	}
	if rep, err := c.Report(ctx, opened.ID); err != nil || rep.Consultation != opened.ID || rep.BucketMS != 10_000 || len(rep.Participants) != 0 {
		t.Errorf("report %+v, %v; want an empty one", rep, err)
	}
	for range 2 {
		if err := c.Cancel(ctx, opened.ID); err != nil {
			t.Errorf("cancel: %v", err)
		}
	}
	if got, err := c.Get(ctx, opened.ID); err != nil || got.State != "cancelled" {
		t.Errorf("got %+v, %v; want it cancelled", got, err)
	}
}

func TestAudit(t *testing.T) {
	url := newServer(t)
	ctx, c := t.Context(), newClient(t, url, key)
	var ids []string
	for range 3 {
		opened, err := c.Create(ctx, client.NewConsultation{Participants: []client.NewParticipant{{Role: wire.RoleClinician}}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, opened.ID)
	}
	if err := c.Cancel(ctx, ids[1]); err != nil {
		t.Fatal(err)
	}
	names := func(q client.AuditQuery) (names []string, last client.AuditRecord) {
		t.Helper()
		for r, err := range c.Audit(ctx, q) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Name == "audit.read" {
				continue // by the reading itself
			}
			if r.Time.IsZero() || r.Tenant != "one" || r.Actor.Kind != "key" {
				t.Errorf("record %+v", r)
			}
			names, last = append(names, r.Name), r
		}
		return names, last
	}
	all, last := names(client.AuditQuery{})
	want := []string{"consultation.created", "consultation.created", "consultation.created", "consultation.cancelled"}
	if !slices.Equal(all, want) || last.Consultation != ids[1] {
		t.Errorf("read %v, want %v", all, want)
	}
	if one, _ := names(client.AuditQuery{Consultation: ids[1]}); !slices.Equal(one, []string{want[0], want[3]}) {
		t.Errorf("of one consultation %v", one)
	}
	if rest, _ := names(client.AuditQuery{After: last.Index + 1}); len(rest) != 0 {
		t.Errorf("after the last %v, want nothing", rest)
	}
	for r := range newClient(t, url, otherKey).Audit(ctx, client.AuditQuery{}) {
		if r.Tenant != "two" {
			t.Errorf("another tenant read %+v", r)
		}
	}
}

func TestProblems(t *testing.T) {
	url := newServer(t)
	ctx, c := t.Context(), newClient(t, url, key)
	people := []client.NewParticipant{{Role: wire.RoleClinician}}
	if _, err := c.Create(ctx, client.NewConsultation{ExternalID: "taken", Participants: people}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		do     func() error
		status int
		code   string
		is     error
	}{
		{"unknown key", func() error { _, err := newClient(t, url, "wrong").Get(ctx, "c_1"); return err }, 401, "unauthorized", nil},
		{"unknown id", func() error { _, err := c.Get(ctx, "c_1"); return err }, 404, "not_found", client.ErrNotFound},
		{"unknown id to cancel", func() error { return c.Cancel(ctx, "c_1") }, 404, "not_found", client.ErrNotFound},
		{"id that would be another path", func() error { return c.Revoke(ctx, "c_1", "..") }, 0, "", client.ErrNotFound},
		{"no id", func() error { _, err := c.Update(ctx, "", client.Change{}); return err }, 0, "", client.ErrNotFound},
		{"unknown external id", func() error { _, err := c.Find(ctx, "none"); return err }, 0, "", client.ErrNotFound},
		{"of another tenant", func() error { _, err := newClient(t, url, otherKey).Find(ctx, "taken"); return err }, 0, "", client.ErrNotFound},
		{"other body", func() error {
			_, err := c.Create(ctx, client.NewConsultation{ExternalID: "taken", Group: true, Participants: people})
			return err
		}, 409, "external_id_conflict", nil},
		{"nobody", func() error {
			_, err := c.Create(ctx, client.NewConsultation{Participants: []client.NewParticipant{}})
			return err
		}, 422, "bad_request", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.do()
			var p *client.Problem
			if errors.As(err, &p) != (tt.status != 0) || p != nil && (p.Status != tt.status || p.Code != tt.code || p.Detail == "" && len(p.Errors) == 0) {
				t.Errorf("got %v (%+v), want %d %s", err, p, tt.status, tt.code)
			}
			if tt.is != nil && !errors.Is(err, tt.is) || tt.is == nil && errors.Is(err, client.ErrNotFound) {
				t.Errorf("got %v, want %v", err, tt.is)
			}
		})
	}
}
