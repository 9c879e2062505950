package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/audit"
)

const (
	auditKeyFile = "audit.key"
	// startedFile holds what the last start was recorded with.
	startedFile = "started.json"
	// auditTimeout bounds what a start and a stop wait for the log.
	auditTimeout = 10 * time.Second
)

// The reasons of config.changed and key.changed.
const (
	reasonFirstStart = "first_start"
	reasonAdded      = "added"
	reasonRemoved    = "removed"
	reasonChanged    = "changed"
)

// trail is the audit log as a server holds it.
type trail interface {
	Append(ctx context.Context, events ...audit.Event) error
	Read(ctx context.Context, q audit.Query) (audit.Page, error)
	Close() error
}

// noTrail stands for a log that could not be opened.
type noTrail struct{ err error }

func (n noTrail) Append(context.Context, ...audit.Event) error {
	return fmt.Errorf("%w: %w", audit.ErrUnavailable, n.err)
}

func (n noTrail) Read(context.Context, audit.Query) (audit.Page, error) {
	return audit.Page{}, fmt.Errorf("%w: %w", audit.ErrUnavailable, n.err)
}

func (n noTrail) Close() error { return nil }

// openTrail opens the log of the data directory, whose key is made at the first start.
func openTrail(cfg config.Config, d *dataDir, w world, log *slog.Logger, metrics prometheus.Registerer) (trail, string, error) {
	keyFile := d.file(keysDir, auditKeyFile)
	if err := ownAlone(keyFile, "whoever may have read it can rewrite the log; see bedside audit"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	u, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, "", fmt.Errorf("public_url: %w", err)
	}
	key, err := audit.LoadOrCreateKey(keyFile, u.Host+"/audit")
	if err != nil {
		return nil, "", err
	}
	l, err := audit.Open(d.file(auditDir), audit.Options{
		Node: node(), Key: key, MinFree: float64(cfg.Audit.MinFreePercent) / 100, Clock: w.clock, Log: log, Metrics: metrics,
	})
	if err != nil {
		return nil, "", err
	}
	return l, key.VerifierKeys()[0], nil
}

// node is what the log calls this machine: the first part of its name.
func node() string {
	name, err := os.Hostname()
	name, _, _ = strings.Cut(name, ".")
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, name)
	if err != nil || name == "" {
		return "bedside"
	}
	return name[:min(len(name), audit.MaxIDBytes)]
}

// started is what a server is started with, without what is secret: digests of random keys tell
// nobody the keys.
type started struct {
	Config string            `json:"config"`
	Keys   map[string]string `json:"keys"`     // the server's own, by name
	API    map[string]apiKey `json:"api_keys"` // by id
}

type apiKey struct {
	Tenant string `json:"tenant"`
	Digest string `json:"digest"` // of hash, scopes and origins
}

func startedWith(cfg config.Config, auditKey string) started {
	s := started{
		Keys: map[string]string{
			"invitation_secret": digest(cfg.Signaling.InvitationSecret.Reveal()),
			"token_key":         digest(cfg.Signaling.TokenKey.Reveal()),
			"audit_key":         digest(auditKey),
		},
		API: make(map[string]apiKey),
	}
	for _, k := range cfg.Signaling.APIKeys {
		s.API[k.ID] = apiKey{Tenant: k.Tenant, Digest: digest(k.Hash, strings.Join(k.Scopes, " "), strings.Join(k.Origins, " "), k.Tenant)}
	}
	cfg.Signaling.InvitationSecret, cfg.Signaling.TokenKey = config.Secret{}, config.Secret{} // told as keys
	s.Config = digest(cfg.Redacted())
	return s
}

// digest is short enough for an id of the log.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}

// since returns what is to be recorded of a start after another; before is nil for the first.
func (s started) since(before *started, now time.Time) []audit.Event {
	operator := audit.Actor{Kind: audit.KindOperator}
	events := []audit.Event{{Time: now, Name: audit.ServerStarted, Actor: audit.Actor{Kind: audit.KindServer}, Outcome: audit.OutcomeOK}}
	reason := reasonChanged
	if before == nil {
		before, reason = &started{}, reasonFirstStart
	}
	if s.Config != before.Config {
		events = append(events, audit.Event{Time: now, Name: audit.ConfigChanged, Actor: operator,
			Subject: audit.Subject{ID: s.Config}, Reason: reason, Outcome: audit.OutcomeOK})
	}
	changed := func(id, tenant, reason string) {
		events = append(events, audit.Event{Time: now, Name: audit.KeyChanged, Actor: operator, Tenant: tenant,
			Subject: audit.Subject{ID: id}, Reason: reason, Outcome: audit.OutcomeOK})
	}
	difference(before.Keys, s.Keys, func(id, reason string) { changed(id, "", reason) })
	difference(before.API, s.API, func(id, reason string) {
		tenant := s.API[id].Tenant
		if reason == reasonRemoved {
			tenant = before.API[id].Tenant
		}
		changed(id, tenant, reason)
	})
	return events
}

// difference calls f with every key that is in one of the maps only, or has another value, in order.
func difference[V comparable](before, after map[string]V, f func(id, reason string)) {
	all := maps.Clone(after)
	if all == nil {
		all = make(map[string]V)
	}
	maps.Copy(all, before)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		was, had := before[id]
		is, has := after[id]
		switch {
		case !had:
			f(id, reasonAdded)
		case !has:
			f(id, reasonRemoved)
		case was != is:
			f(id, reasonChanged)
		}
	}
}

// recordStart writes down that the server starts, and what has changed since it last did. What it
// compares with is written after that: when the process dies between the two, a change is told
// twice, never not at all.
func recordStart(ctx context.Context, t trail, d *dataDir, now started, at time.Time) error {
	var before *started
	text, err := os.ReadFile(d.file(startedFile))
	if err == nil {
		before = new(started)
		if err := json.Unmarshal(text, before); err != nil {
			before = nil // as good as the first
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	for batch := range slices.Chunk(now.since(before, at), audit.MaxEvents) {
		if err := t.Append(ctx, batch...); err != nil {
			return err
		}
	}
	if before != nil && string(text) == string(now.json()) {
		return nil
	}
	return writeFile(d.file(startedFile), now.json())
}

func (s started) json() []byte {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("bedside: internal error: " + err.Error())
	}
	return append(text, '\n')
}

// recordStop writes down that the server stops, and how. It needs a context of its own: the server's
// has ended.
func recordStop(t trail, at time.Time, outcome string) error {
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	return t.Append(ctx, audit.Event{Time: at, Name: audit.ServerStopped, Actor: audit.Actor{Kind: audit.KindServer}, Outcome: outcome})
}
