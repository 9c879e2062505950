package signaling

import (
	"context"
	"io"
	"time"

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
	// Notify is to be called when the recorder cannot go on (with the reason), when it can again (with
	// ""), and when something was lost. It never waits, and may be called from any goroutine.
	Notify func(fault string, gaps int)
}

// RecordingSession is one recording that is being made.
type RecordingSession interface {
	ID() string
	// Tap returns where the media of a publication goes. It must not wait for anything.
	Tap(participant string, source codec.Source, keyFrame func()) sfu.Tap
	// Note puts what people said, and when nothing was recorded, beside the media. It must not wait.
	Note(n RecordingNote)
	// Stop ends the recording and returns when it is complete on disk.
	Stop(ctx context.Context, reason string) error
}

// RecordingNote is something that is to be known of a recording.
type RecordingNote struct {
	At          time.Time
	Event       string // as in the audit log
	Participant string // whom it concerns; empty for all
	Reason      string // or the version of the notice
}

// RecordingStore is what is kept of recordings. All of it is encrypted, and the server has no key.
type RecordingStore interface {
	// List returns the recordings of a tenant, the oldest first.
	List(ctx context.Context, tenant string) ([]RecordingInfo, error)
	// Open returns one of the files of a recording.
	Open(ctx context.Context, id string, f RecordingFile) (io.ReadSeekCloser, error)
	// PutKey replaces the wrapped key.
	PutKey(ctx context.Context, id string, key []byte) error
	// Erase destroys the wrapped key and leaves a tombstone.
	Erase(ctx context.Context, id, reason string) error
}

// RecordingFile names a file of a recording.
type RecordingFile struct {
	Kind string // FileManifest, FileKey or FilePart
	Part int
}

// The kinds of files.
const (
	FileManifest = "manifest"
	FileKey      = "key"
	FilePart     = "part"
)

// RecordingInfo is what is known of a recording without opening it.
type RecordingInfo struct {
	ID           string          `json:"id" example:"01KAH0M4N6Y9M6J3Q2W8T5R7ZD"`
	Consultation string          `json:"consultation"`
	State        string          `json:"state" enum:"recording,complete,erased"`
	Started      time.Time       `json:"started"`
	Ended        time.Time       `json:"ended,omitzero"`
	Bytes        int64           `json:"bytes"`
	RetainUntil  time.Time       `json:"retain_until,omitzero" doc:"When it is erased, unless it is before"`
	Parts        []RecordingPart `json:"parts" nullable:"false"`
}

// RecordingPart is one file: what one participant sent, sealed.
type RecordingPart struct {
	N           int    `json:"n"`
	Participant string `json:"participant"`
	Bytes       int64  `json:"bytes"`
	SHA256      string `json:"sha256,omitempty" doc:"Of the encrypted bytes, when the part is complete"`
}

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
