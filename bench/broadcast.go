package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/signaling/wire"
)

// maxAnswer bounds what is read of a server's answer.
const maxAnswer = 4 << 20

// BroadcastConfig is what a Broadcast is made of. Of Config, Invitation, BaseURL and what belongs to
// the WebSocket are not used, and Stream is Ref.
type BroadcastConfig struct {
	Config
	Ref     string // who this is; others know the tracks by it, as the stream id of their msid
	Publish string // WHIP URL; not used without media
	Watch   string // WHEP URL
	Bearer  string // sent as Authorization, if any
	// Audio and Video are how many tracks of others to watch, on one connection.
	Audio, Video int
}

// Broadcast is one virtual participant of a server without rooms, rosters and slots: it publishes by
// WHIP (RFC 9725) and watches by WHEP (draft-ietf-wish-whep), each on a connection of its own, and
// knows people and their sources by the msid that the answer gives each m-line. Its methods are safe
// for concurrent use.
type Broadcast struct {
	cfg BroadcastConfig

	mu       sync.Mutex
	opened   uint64         // connections so far
	up, down *broadcastPath // nil where there is nothing to publish, or to watch
	past     Report         // accounts of connections that are gone
	gone     Traffic        // theirs
	closed   bool
}

// broadcastPath is one connection with the resource that stands for it.
type broadcastPath struct {
	*connection
	location string // absolute; "" before the answer
}

// NewBroadcast returns a Broadcast that has not joined. It must be closed.
func NewBroadcast(cfg BroadcastConfig) *Broadcast {
	cfg.Config = cfg.withDefaults()
	cfg.Stream = cfg.Ref
	return &Broadcast{cfg: cfg}
}

// Join publishes, then watches. It returns when both answers are applied; see Connected. A refusal is
// a *RemoteError. The Observer's steps are those of the connection that is opened last.
func (b *Broadcast) Join(ctx context.Context) error {
	b.Drop()
	publishes := b.cfg.Media != Media{}
	watches := b.cfg.Audio+b.cfg.Video > 0
	if publishes {
		cfg := b.cfg.Config
		if watches {
			cfg.Observer.Step = func(time.Time, Step) {}
		}
		up, err := b.open(ctx, cfg, b.cfg.Publish, wire.SlotCount{}, func(p *broadcastPath) { b.up = p })
		if err != nil {
			return err
		}
		up.startMedia(b.cfg.Ref)
	}
	if !watches {
		return nil
	}
	cfg := b.cfg.Config
	cfg.Media = Media{}
	_, err := b.open(ctx, cfg, b.cfg.Watch, wire.SlotCount{Audio: b.cfg.Audio, Video: b.cfg.Video}, func(p *broadcastPath) { b.down = p })
	return err
}

// open makes one connection, keeps it, and has its offer answered.
func (b *Broadcast) open(ctx context.Context, cfg Config, at string, slots wire.SlotCount, keep func(*broadcastPath)) (*broadcastPath, error) {
	steps := &milestones{tell: cfg.Observer.Step}
	b.mu.Lock()
	b.opened++
	conn, err := newConnection(cfg, rand.New(rand.NewPCG(cfg.Seed, b.opened)), steps, slots)
	if err == nil && b.closed {
		conn.close()
		err = ErrClosed
	}
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	p := &broadcastPath{connection: conn}
	keep(p)
	b.mu.Unlock()
	offer, err := p.offer(false)
	if err != nil {
		return nil, err
	}
	text, location, err := b.post(ctx, at, offer.SDP)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	p.location = location
	b.mu.Unlock()
	steps.reach(cfg.Clock.Now(), StepAnswered)
	if err := p.occupy(text); err != nil {
		return nil, err
	}
	return p, p.answer(text)
}

// occupy tells the slots whose tracks the answer puts into them.
func (p *broadcastPath) occupy(answer string) error {
	if len(p.slots) == 0 {
		return nil
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(answer); err != nil {
		return fmt.Errorf("bench: answer: %w", err)
	}
	now := p.cfg.Clock.Now()
	for _, m := range s.MediaDescriptions {
		mid, _ := m.Attribute("mid")
		msid, ok := m.Attribute("msid")
		slot := p.slot(mid)
		if !ok || slot == nil {
			continue
		}
		stream, track, _ := strings.Cut(msid, " ")
		slot.mu.Lock()
		slot.receiver.Fix(now, wire.Assignment{Mid: mid, Participant: stream, Source: wire.Source(track), State: wire.SlotLive})
		slot.mu.Unlock()
	}
	return nil
}

// post sends an offer and returns the answer and the URL of the resource made.
func (b *Broadcast) post(ctx context.Context, at, offer string) (answer, location string, err error) {
	resp, err := b.request(ctx, http.MethodPost, at, offer)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", "", fmt.Errorf("bench: %s: %w", at, err)
	}
	if resp.StatusCode != http.StatusCreated {
		return "", "", &RemoteError{Code: strings.TrimSpace(resp.Status), Status: resp.StatusCode}
	}
	base, err := url.Parse(at)
	if err != nil {
		return "", "", fmt.Errorf("bench: %w", err)
	}
	where, err := base.Parse(resp.Header.Get("Location"))
	if err != nil {
		return "", "", fmt.Errorf("bench: location: %w", err)
	}
	return string(text), where.String(), nil
}

func (b *Broadcast) request(ctx context.Context, method, at, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("bench: request: %w", err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/sdp")
	}
	if b.cfg.Bearer != "" {
		req.Header.Set("Authorization", "Bearer "+b.cfg.Bearer)
	}
	resp, err := b.cfg.HTTP.Do(req)
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w", at, err)
	}
	return resp, nil
}

// paths returns the connections there are.
func (b *Broadcast) paths() []*broadcastPath {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []*broadcastPath
	for _, p := range []*broadcastPath{b.up, b.down} {
		if p != nil {
			out = append(out, p)
		}
	}
	return out
}

// Connected waits until all connections are up.
func (b *Broadcast) Connected(ctx context.Context) error {
	paths := b.paths()
	if len(paths) == 0 {
		return ErrClosed
	}
	for _, p := range paths {
		if err := p.connected(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Leave deletes the resources on the server and drops the connections.
func (b *Broadcast) Leave(ctx context.Context) error {
	var errs []error
	for _, p := range b.paths() {
		b.mu.Lock()
		location := p.location
		b.mu.Unlock()
		if location == "" {
			continue
		}
		resp, err := b.request(ctx, http.MethodDelete, location, "")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			errs = append(errs, &RemoteError{Code: strings.TrimSpace(resp.Status), Status: resp.StatusCode})
		}
	}
	b.Drop()
	return errors.Join(errs...)
}

// Drop loses the connections without DELETE. The Broadcast can Join again.
func (b *Broadcast) Drop() {
	paths := b.paths()
	for _, p := range paths {
		p.close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range paths {
		p.addTo(&b.past)
		b.gone.Add(p.traffic())
	}
	b.up, b.down = nil, nil
}

// Mark makes Report forget what was counted so far, as Client.Mark does.
func (b *Broadcast) Mark() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.past = Report{}
	for _, p := range []*broadcastPath{b.up, b.down} {
		if p != nil {
			p.mark()
		}
	}
}

// Recent is Client.Recent.
func (b *Broadcast) Recent(delays *hist.Histogram) (lost uint64, showing []Showing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down == nil {
		return 0, nil
	}
	return b.down.recent(delays)
}

// Report returns the accounts of all the connections since the last Mark.
func (b *Broadcast) Report() Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := Report{Participant: b.cfg.Ref, State: wire.StateAdmitted}
	r.Sent, r.Slots = append(r.Sent, b.past.Sent...), append(r.Slots, b.past.Slots...)
	for _, p := range []*broadcastPath{b.up, b.down} {
		if p != nil {
			p.addTo(&r)
		}
	}
	return r
}

// Traffic returns the counts of all the connections so far.
func (b *Broadcast) Traffic() Traffic {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.gone
	for _, p := range []*broadcastPath{b.up, b.down} {
		if p != nil {
			t.Add(p.traffic())
		}
	}
	return t
}

// Close drops the connections for good. It is idempotent.
func (b *Broadcast) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.Drop()
}
