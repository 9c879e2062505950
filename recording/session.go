package recording

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording/mkv"
	"github.com/bedside-video/bedside/sfu/codec"
)

// Start says what is to be recorded.
type Start struct {
	Tenant       string
	Consultation string
	RetainUntil  time.Time // zero: until somebody erases it
	// Notify hears of what a clinician must know. It is called from goroutines of the Session, one call
	// at a time for each, and must not block.
	Notify func(Event)
}

// Event is something that happened to a recording which people in the room must know.
type Event struct {
	At     time.Time
	Kind   EventKind
	Reason Reason
	// Of a gap.
	Participant string
	Source      codec.Source
}

// EventKind is a kind of Event.
type EventKind string

// The kinds of events.
const (
	Failed  EventKind = "failed"  // nothing is written
	Resumed EventKind = "resumed" // it is again, in new parts
	Lossy   EventKind = "gap"     // some of a participant's media is missing
)

// Reason says why a recording failed.
type Reason string

// Why a recording fails.
const (
	NoSpace Reason = "no_space"   // the disk is full, or nearly
	Stalled Reason = "disk_slow"  // the disk has not answered for a while
	Broken  Reason = "disk_error" // anything else
)

// Session is one recording while it goes on. Its methods may be called from any goroutine.
type Session struct {
	store  *Store
	disk   disk
	notify func(Event)
	to     age.Recipient
	epoch  time.Time // of the first Tap, set once

	id string

	mu       sync.Mutex
	manifest Manifest
	changed  bool      // the manifest is to be written
	people   []*person // only added to
	tracks   int       // that are open
	stop     string    // the reason; "" while it goes on

	spares spares // of run alone, as the rest
	syncs  syncs
	failed Reason
	retry  time.Time // when writing is tried again
	stall  stall
	looks
	done chan struct{}
	err  error // of the end; after done
}

// Periods of a Session.
const (
	lookEvery  = 50 * time.Millisecond  // the goroutine takes what was made of media
	lookAlone  = 70 * time.Millisecond  // where no packet reminds it
	floorEvery = 200 * time.Millisecond // one of them asks how much of the disk is free
	slowAfter  = 700 * time.Millisecond // for which one look may take before people are told
	retryEvery = 2 * time.Second
)

// ID is the recording's name.
func (s *Session) ID() string { return s.id }

// Tap opens a track of a participant. It does nothing that could block. keyFrame asks the publisher for
// a key frame, must not block, and may be nil. After a pause, the same source has a new Track.
func (s *Session) Tap(participant string, source codec.Source, keyFrame func()) *Track {
	t := &Track{source: source, keyFrame: keyFrame, looks: &s.looks}
	t.order.Wait = reorderWait
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != "" || s.tracks == maxTracks {
		t.person, t.over = &person{}, true // takes nothing
		return t
	}
	if s.epoch.IsZero() {
		// Time 0 is when the first may be recorded, not when there was a key for it.
		s.epoch = s.store.o.Clock()
		s.manifest.Created, s.changed = s.epoch.UTC(), true
	}
	s.tracks++
	i := slices.IndexFunc(s.people, func(p *person) bool { return p.id == participant })
	if i < 0 {
		i = len(s.people)
		s.people = append(s.people, &person{id: participant, epoch: s.epoch})
	}
	t.person = s.people[i]
	t.person.join(t)
	return t
}

// maxTracks bounds the tracks that are open, or have ended since the last look.
const maxTracks = 1000

// everybody is who has been recorded until now.
func (s *Session) everybody() []*person {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people[:len(s.people):len(s.people)]
}

// Consent notes what a participant decided.
func (s *Session) Consent(c Consent) {
	c.At = c.At.UTC()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == "" && len(s.manifest.Consent) < maxEvents {
		s.manifest.Consent, s.changed = append(s.manifest.Consent, c), true
	}
}

// Mark notes what happened to the recording.
func (s *Session) Mark(m Mark) {
	m.At = m.At.UTC()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == "" {
		s.mark(m)
	}
}

func (s *Session) mark(m Mark) {
	if len(s.manifest.Marks) < maxEvents {
		s.manifest.Marks, s.changed = append(s.manifest.Marks, m), true
	}
}

// Stop writes what has come, closes the parts and signs the manifest. The recording also ends when ctx
// does before that, later.
func (s *Session) Stop(ctx context.Context, reason string) (Manifest, error) {
	s.mu.Lock()
	if s.stop == "" {
		s.stop = reason
		if reason == "" {
			s.stop = "stopped"
		}
		close(s.quit)
	}
	s.mu.Unlock()
	select {
	case <-s.done:
	case <-ctx.Done():
		return Manifest{}, fmt.Errorf("stop recording %s: %w", s.ID(), ctx.Err())
	}
	return s.manifest, s.err
}

// run is the only one that writes files.
func (s *Session) run() {
	defer close(s.done)
	idle := time.NewTimer(lookAlone)
	defer idle.Stop()
	for {
		select {
		case <-s.due:
			s.look()
			idle.Reset(lookAlone)
		case <-idle.C:
			s.look()
			idle.Reset(lookAlone)
		case <-s.quit:
			s.look()
			s.finish()
			s.store.forget(s)
			return
		}
	}
}

// look takes what came and writes it.
func (s *Session) look() {
	now := s.store.o.Clock()
	s.looked(now)
	s.stall.begin(s.store.o.Clock, s.stalled)
	defer s.stall.over(s.unstalled)
	below := s.store.floor.below(now, s.store.crowded)
	people := s.everybody()
	if below && s.failed == "" {
		s.fail(now, errNoSpace)
	}
	if s.failed != "" && !below && !now.Before(s.retry) {
		s.resume(now)
	}
	for _, p := range people {
		if err := s.work(now, p); err != nil {
			s.fail(now, err)
		}
	}
	if s.failed == "" {
		if err := errors.Join(s.syncs.now(people, s.store.sync), s.save()); err != nil {
			s.fail(now, err)
		}
	}
}

// stalled tells of what run cannot: that it is stuck.
func (s *Session) stalled() {
	s.store.o.Metrics.failures.WithLabelValues(string(Stalled)).Inc()
	s.store.o.Log.Error("recording stalled: the disk does not answer", "recording", s.ID())
	s.notify(Event{At: s.store.o.Clock(), Kind: Failed, Reason: Stalled})
}

func (s *Session) unstalled() {
	s.notify(Event{At: s.store.o.Clock(), Kind: Resumed, Reason: Stalled})
}

// work seals and writes what was made of one participant's media.
func (s *Session) work(now time.Time, p *person) error {
	notices, left, ready := p.review(now)
	for _, n := range notices {
		if n.ask {
			n.track.keyFrame()
		}
		if n.loss != (mkv.Loss{}) {
			s.gap(now, n.track, n.loss)
		}
	}
	if left > 0 {
		s.mu.Lock()
		s.tracks -= left
		s.mu.Unlock()
	}
	if s.failed != "" {
		return nil
	}
	if ready {
		if err := s.begin(now, p); err != nil {
			return err
		}
	}
	if p.part == nil {
		return nil
	}
	full := p.exchange(&s.spares)
	err := p.part.seal(full)
	s.spares.keep(full)
	if err != nil {
		return err
	}
	due, err := p.part.flush(now)
	s.syncs.due = s.syncs.due || due
	s.store.o.Metrics.bytes.Add(float64(p.part.news()))
	// Only this goroutine adds parts. The second half of what a recording can have is for those who come.
	if len(s.manifest.Parts) < maxParts/2 && p.part.fill(now, s.store.o.PartTime, s.store.o.PartSize) {
		p.turn(now)
		p.askKey()
	}
	return err
}

// begin ends a participant's part, if there is one, and begins the next.
func (s *Session) begin(now time.Time, p *person) error {
	if err := s.end(now, p); err != nil {
		return err
	}
	h, waiting := p.header()
	next := Part{Participant: p.id, Started: now.UTC()}
	for _, t := range h.Tracks {
		next.Tracks = append(next.Tracks, PartTrack{codec.Source(t.Name), t.Codec.String()})
	}
	s.mu.Lock()
	next.N = len(s.manifest.Parts)
	if next.N == maxParts {
		s.mu.Unlock()
		return errors.New("more parts than a recording can have")
	}
	s.manifest.Parts, s.changed = append(s.manifest.Parts, next), true
	s.mu.Unlock()
	// The manifest first: a part that it does not list would be nobody's.
	if err := s.save(); err != nil {
		return err
	}
	var err error
	if p.part, err = newPart(s.disk, s.ID(), next.N, s.to, s.store.budget(), now, h); err != nil {
		return err
	}
	p.settle(h, waiting)
	return nil
}

// end closes a participant's part.
func (s *Session) end(now time.Time, p *person) error {
	if p.part == nil {
		return nil
	}
	part := p.part
	p.part = nil
	rest := p.shut()
	err := part.seal(rest)
	s.spares.keep(rest)
	size, sum, cut := part.close()
	err = errors.Join(err, cut)
	s.store.o.Metrics.bytes.Add(float64(part.news()))
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := &s.manifest.Parts[part.n]
	entry.Ended, entry.Size, entry.SHA256, s.changed = now.UTC(), size, sum, true
	if err != nil {
		entry.Size, entry.SHA256, entry.Cut = 0, "", true // finish measures it
	}
	return err
}

// gap notes what is missing.
func (s *Session) gap(now time.Time, t *Track, loss mkv.Loss) {
	s.store.o.Metrics.lost.Add(float64(loss.Packets))
	s.mu.Lock()
	if len(s.manifest.Gaps) < maxGaps {
		s.manifest.Gaps = append(s.manifest.Gaps, Gap{now.UTC(), t.person.id, t.source, loss.Packets, loss.Frames})
	} else {
		s.manifest.MoreGaps++
	}
	s.changed = true
	s.mu.Unlock()
	if s.failed == "" {
		s.notify(Event{At: now, Kind: Lossy, Participant: t.person.id, Source: t.source})
	}
}

var errNoSpace = errors.New("less disk is free than recording.min_free asks for")

// fail gives the parts up. What reached the disk can be read; new parts are tried every two seconds.
func (s *Session) fail(now time.Time, err error) {
	for _, p := range s.everybody() {
		if p.part != nil {
			s.abandon(p)
		}
		p.drop()
	}
	s.retry = now.Add(retryEvery)
	if s.failed != "" {
		return
	}
	s.failed = Broken
	if errors.Is(err, errNoSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		s.failed = NoSpace
	}
	s.store.o.Metrics.failures.WithLabelValues(string(s.failed)).Inc()
	s.store.o.Log.Error("recording failed", "recording", s.ID(), "reason", string(s.failed), "err", err)
	s.mu.Lock()
	s.mark(Mark{now.UTC(), string(Failed), string(s.failed)})
	s.mu.Unlock()
	s.notify(Event{At: now, Kind: Failed, Reason: s.failed})
}

func (s *Session) abandon(p *person) {
	_ = p.part.file.Close() // it failed already
	s.mu.Lock()
	s.manifest.Parts[p.part.n].Cut = true
	s.mu.Unlock()
	p.part = nil
}

// resume tries whether the disk takes the manifest again.
func (s *Session) resume(now time.Time) {
	s.retry = now.Add(retryEvery)
	s.mu.Lock()
	s.mark(Mark{now.UTC(), string(Resumed), ""})
	s.mu.Unlock()
	if err := s.save(); err != nil {
		s.mu.Lock()
		s.manifest.Marks = s.manifest.Marks[:len(s.manifest.Marks)-1]
		s.mu.Unlock()
		return
	}
	s.failed = ""
	for _, p := range s.everybody() {
		p.hear()
		p.askKey()
	}
	s.store.o.Log.Info("recording resumed", "recording", s.ID())
	s.notify(Event{At: now, Kind: Resumed})
}

// save writes the manifest if it changed.
func (s *Session) save() error {
	s.mu.Lock()
	if !s.changed {
		s.mu.Unlock()
		return nil
	}
	s.changed = false
	b, err := s.manifest.encode()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.disk.replace(manifestName(s.ID()), b); err != nil {
		s.mu.Lock()
		s.changed = true
		s.mu.Unlock()
		return fmt.Errorf("manifest: %w", err)
	}
	return nil
}

// finish closes everything and signs.
func (s *Session) finish() {
	now := s.store.o.Clock()
	for _, p := range s.everybody() {
		if s.failed != "" {
			break
		}
		p.stop()
		if err := s.work(now, p); err != nil {
			s.fail(now, err)
			break
		}
		if p.waits() {
			if err := s.begin(now, p); err != nil {
				s.fail(now, err)
				break
			}
		}
		if err := s.end(now, p); err != nil {
			s.fail(now, err)
		}
	}
	s.mu.Lock()
	m, reason := s.manifest, s.stop
	m.Parts = slices.Clone(m.Parts)
	s.mu.Unlock()
	s.err = s.store.complete(s.disk, &m, Complete, reason, now)
	s.store.wakeUp()
	s.mu.Lock()
	s.manifest = m
	s.mu.Unlock()
	if s.err != nil {
		s.store.o.Log.Error("recording not finished", "recording", s.ID(), "err", s.err)
	}
}
