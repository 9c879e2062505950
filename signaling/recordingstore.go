package signaling

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Recordings makes a Recorder and a RecordingStore of a recording.Store, which stays the caller's.
// Recordings are kept for as long as retain says; for ever if it is 0.
func Recordings(store *recording.Store, retain time.Duration, clock func() time.Time) *StoredRecordings {
	return &StoredRecordings{store, retain, clock}
}

// StoredRecordings are recordings in a recording.Store.
type StoredRecordings struct {
	store  *recording.Store
	retain time.Duration
	clock  func() time.Time
}

// Ready implements Recorder. What else may be wrong shows when a recording starts.
func (s *StoredRecordings) Ready() error { return nil }

// Start implements Recorder.
func (s *StoredRecordings) Start(ctx context.Context, o RecordingOptions) (RecordingSession, error) {
	start := recording.Start{Tenant: o.Tenant, Consultation: o.Consultation, Notify: func(e recording.Event) {
		switch e.Kind {
		case recording.Failed:
			o.Notify(RecorderNews{Changed: true, Fault: wire.RecordingStorage})
		case recording.Resumed:
			o.Notify(RecorderNews{Changed: true})
		case recording.Lossy:
			o.Notify(RecorderNews{Gaps: 1})
		}
	}}
	if s.retain > 0 {
		start.RetainUntil = s.clock().Add(s.retain)
	}
	session, err := s.store.Start(ctx, start)
	if err != nil {
		return nil, err
	}
	return storedSession{session, s.store}, nil
}

// List implements RecordingStore.
func (s *StoredRecordings) List(tenant string) ([]recording.Manifest, error) {
	return s.store.List(tenant, "")
}

// Manifest implements RecordingStore.
func (s *StoredRecordings) Manifest(id string) (recording.Manifest, error) {
	return s.store.Manifest(id)
}

// Open implements RecordingStore.
func (s *StoredRecordings) Open(id string, f RecordingFile) (io.ReadSeekCloser, error) {
	if f.Kind == FilePart {
		file, _, err := s.store.Part(id, f.Part)
		return file, err
	}
	read := s.store.RawManifest
	switch f.Kind {
	case FileKey:
		read = s.store.Key
	case FileFormerKey:
		read = func(id string) ([]byte, error) { return s.store.FormerKey(id, f.Part) }
	}
	b, err := read(id)
	if err != nil {
		return nil, err
	}
	return inMemory{bytes.NewReader(b)}, nil
}

// ChangeKey implements RecordingStore.
func (s *StoredRecordings) ChangeKey(id string, c KeyChange) error {
	if c.Forget {
		return s.store.ForgetKeys(id)
	}
	return s.store.PutKey(id, c.Wrapped)
}

// Erase implements RecordingStore.
func (s *StoredRecordings) Erase(id, reason string) error { return s.store.Erase(id, reason) }

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

type storedSession struct {
	session *recording.Session
	store   *recording.Store
}

func (s storedSession) ID() string { return s.session.ID() }

func (s storedSession) Tap(participant string, source codec.Source, keyFrame func()) sfu.Tap {
	return s.session.Tap(participant, source, keyFrame)
}

func (s storedSession) Note(n RecordingNote) {
	decisions := map[string]wire.Decision{consult.EventConsentGranted: wire.ConsentGranted,
		consult.EventConsentDenied: wire.ConsentDenied, consult.EventConsentWithdrawn: wire.ConsentWithdrawn}
	if d, ok := decisions[n.Event]; ok {
		s.session.Consent(recording.Consent{At: n.At.UTC(), Participant: n.Participant, Decision: string(d), Notice: n.Reason, Event: n.Event})
		return
	}
	s.session.Mark(recording.Mark{At: n.At.UTC(), Kind: n.Event, Reason: n.Reason})
}

func (s storedSession) Stop(ctx context.Context, reason string) (string, error) {
	if _, err := s.session.Stop(ctx, reason); err != nil {
		return "", err
	}
	manifest, err := s.store.RawManifest(s.session.ID())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(manifest)
	return hex.EncodeToString(sum[:]), nil
}
