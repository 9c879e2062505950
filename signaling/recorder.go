package signaling

import (
	"context"
	"io"
	"time"

	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Recorder writes down what people have agreed to have recorded, so that only the hospital can read it.
// Its methods may be called from any goroutine.
type Recorder interface {
	// Ready returns why nothing can be recorded now, in words for a clinician, or nil.
	Ready() error
	// Start begins a recording. Nothing is written of anybody before a tap is opened.
	Start(ctx context.Context, o RecordingOptions) (RecordingSession, error)
}

// RecordingOptions say what is to be recorded.
type RecordingOptions struct {
	Tenant, Consultation string
	// Notify is to be called when something has changed. It never waits, and may be called from any
	// goroutine.
	Notify func(RecorderNews)
}

// RecorderNews is what a recorder has to say of a recording that it makes.
type RecorderNews struct {
	Changed bool   // whether it can go on: Fault says why not, or is empty
	Fault   string // of package wire
	Gaps    int    // how often something was lost since the last time
}

// RecordingSession is one recording that is being made.
type RecordingSession interface {
	ID() string
	// Tap returns where the media of a publication goes. It must not wait for anything.
	Tap(participant string, source codec.Source, keyFrame func()) sfu.Tap
	// Note puts what people said, and when nothing was recorded, beside the media. It must not wait.
	Note(n RecordingNote)
	// Stop ends the recording and returns when it is complete on disk, with the SHA-256 of its signed
	// manifest in hexadecimal.
	Stop(ctx context.Context, reason string) (manifest string, err error)
}

// RecordingNote is something that is to be known of a recording.
type RecordingNote struct {
	At          time.Time
	Event       string // as in the audit log
	Participant string // whom it concerns; empty for all
	Reason      string // or the version of the notice
}

// RecordingStore is what is kept of recordings. All of it is sealed, and the server has no key.
type RecordingStore interface {
	// List returns the manifests of a tenant's recordings, or of all tenants' for "", the newest first.
	List(tenant string) ([]recording.Manifest, error)
	// Manifest returns one, or recording.ErrNotFound.
	Manifest(id string) (recording.Manifest, error)
	// Open opens one of a recording's files; recording.ErrNotFound, or ErrErased if its key was destroyed.
	Open(id string, f RecordingFile) (io.ReadSeekCloser, error)
	// ChangeKey replaces the wrapped key, or forgets those that were replaced; recording.ErrBadKey for what is
	// none, ErrManyKeys for one too many.
	ChangeKey(id string, c KeyChange) error
	// Erase destroys the wrapped key and leaves a tombstone.
	Erase(id, reason string) error
}

// KeyChange is what is done with a recording's keys.
type KeyChange struct {
	Wrapped []byte // the new one: the present one is kept
	Forget  bool   // instead: those that were replaced are destroyed
}

// RecordingFile names a file of a recording.
type RecordingFile struct {
	Kind string // FileManifest, FileKey, FileFormerKey or FilePart
	Part int    // the number of a part, from 0, or of a former key, from 1
}

// The kinds of files.
const (
	FileManifest = "manifest"
	FileKey      = "key"
	FilePart     = "part"
	// FileFormerKey is a key that was replaced.
	FileFormerKey = "former_key"
)

// spec is a record's, as far as this server can do what it asks for.
func (s *Server) spec(rec record) consult.Spec {
	spec := rec.spec()
	spec.Policy.Recording, spec.Notice = s.recordingOf(rec), s.deps.Notice
	return spec
}

// recordingOf is the policy of recording that holds: never, where there is no recorder (any more).
func (s *Server) recordingOf(rec record) string {
	if s.deps.Recorder == nil {
		return wire.PolicyNever
	}
	return rec.recording()
}
