package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	notice = "sim_1"
	// Withdrawal takes effect within this after its message was read, which here is when it is sent:
	// between a client's WebSocket and the server's there is no delay.
	withdrawn = 20 * time.Millisecond
	// What a recorder and an audit log on a disk may take.
	recorderStart = 30 * time.Millisecond
	auditDelay    = 40 * time.Millisecond
)

// Consent is a person's word about being recorded.
type Consent struct {
	Ref      string
	Decision wire.Decision
}

// Record is a clinician asking for a recording, or ending it.
type Record struct {
	By     string
	Action wire.RecordAction
}

func (Consent) step() {}
func (Record) step()  {}

// tapes is the recorder of a World: it notes what it is given, and when.
type tapes struct {
	mu     sync.Mutex
	writes []write
	begun  int
}

// write is one packet that was given to the recorder.
type write struct {
	at          time.Time
	participant string // whose tap it was
	sender      uint64 // by the packet itself
}

// Ready implements signaling.Recorder.
func (*tapes) Ready() error { return nil }

// Start implements signaling.Recorder.
func (t *tapes) Start(ctx context.Context, _ signaling.RecordingOptions) (signaling.RecordingSession, error) {
	wait(ctx, recorderStart)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun++
	return &recordingSession{tapes: t, id: fmt.Sprintf("R%d", t.begun)}, nil
}

// wait lets virtual time pass for whoever asks.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

type recordingSession struct {
	tapes *tapes
	id    string
}

func (s *recordingSession) ID() string                   { return s.id }
func (s *recordingSession) Note(signaling.RecordingNote) {}

func (s *recordingSession) Tap(participant string, _ codec.Source, _ func()) sfu.Tap {
	return &tap{tapes: s.tapes, participant: participant}
}

func (s *recordingSession) Stop(context.Context, string) (string, error) {
	return "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", nil
}

// tap takes one publication.
type tap struct {
	tapes       *tapes
	participant string
	ended       bool
}

// RTP implements sfu.Tap.
func (t *tap) RTP(_ time.Time, _ codec.Name, p *codec.Packet) {
	t.tapes.mu.Lock()
	defer t.tapes.mu.Unlock()
	w := write{at: time.Now(), participant: t.participant}
	if tag, ok := bench.ParseTag(p.Payload); ok && !t.ended {
		w.sender = tag.Sender
	}
	t.tapes.writes = append(t.tapes.writes, w) // with nobody's mark if it came after the end
}

// Clock implements sfu.Tap.
func (*tap) Clock(codec.Clock) {}

// End implements sfu.Tap.
func (t *tap) End(string) {
	t.tapes.mu.Lock()
	defer t.tapes.mu.Unlock()
	t.ended = true
}

// slowAudit is an audit log whose disk takes its time, so that it shows what waits for it.
type slowAudit struct{ *audit.Memory }

// Append implements signaling.Audit.
func (a slowAudit) Append(ctx context.Context, events ...audit.Event) error {
	wait(ctx, auditDelay)
	return a.Memory.Append(ctx, events...)
}

// said is what somebody's consent was from an instant on, as they know it themselves.
type said struct {
	at     time.Time
	agreed bool
}

// consent carries out a step that changes what a person has agreed to: from when it is asked for when
// they take something back, or from nobody's device any more. What the server refuses did not happen.
func (w *World) consent(ref string, agreed bool, do func() error) error {
	x := &w.witness
	x.mu.Lock()
	before := len(x.consents[ref])
	x.consents[ref] = append(x.consents[ref], said{time.Now(), agreed})
	x.mu.Unlock()
	err := do()
	var refused *bench.RemoteError
	if errors.As(err, &refused) || errors.Is(err, bench.ErrClosed) {
		x.mu.Lock()
		if len(x.consents[ref]) == before+1 {
			x.consents[ref] = x.consents[ref][:before]
		}
		x.mu.Unlock()
	}
	return err
}

// agreed reports whether somebody had agreed at an instant, or within what a withdrawal may take before it.
func (x *witness) agreed(ref string, at time.Time) bool {
	agreed := false
	for i, s := range x.consents[ref] {
		if s.at.After(at) {
			break
		}
		was := i > 0 && x.consents[ref][i-1].agreed
		agreed = s.agreed || was && at.Sub(s.at) <= withdrawn
	}
	return agreed
}

// judgeRecording holds what was recorded against what people have agreed to:
//
//  1. What is written of a participant is theirs, they are in the room, and have agreed.
//  2. Nothing is written while anybody is in the room who has not agreed.
//  3. Nothing is written before everybody in the room was told that it is being recorded.
//
// The caller holds mu.
func (x *witness) judgeRecording(t *tapes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.writes {
		since := w.at.Sub(x.world.start)
		ref := x.world.ref(w.participant)
		switch {
		case w.sender != bench.SenderHash(w.participant):
			x.violate("at %v a packet was written to the tap of %s that was not theirs, or after its end", since, ref)
		case !x.admitted(w.participant, w.at):
			x.violate("at %v %s was recorded, who was not in the room", since, ref)
		case !x.agreed(ref, w.at):
			x.violate("at %v %s was recorded, who had not agreed", since, ref)
		}
		for _, other := range x.world.refs {
			k := x.knowledge[x.world.people[other].id]
			if k == nil || !k.surelyIn(w.at) {
				continue
			}
			if role := x.world.people[other].Role; role != wire.RoleObserver && role != wire.RoleDevice && !x.agreed(other, w.at) {
				x.violate("at %v %s was recorded with %s in the room, who had not agreed", since, ref, other)
			}
			if !k.knewOfRecording(w.at) {
				x.violate("at %v %s was recorded, and %s had not been told", since, ref, other)
			}
		}
	}
}

// surelyIn reports whether a participant was in the room at an instant, beyond doubt: what changed at
// that very instant does not count.
func (k *knowledge) surelyIn(at time.Time) bool {
	var state wire.State
	var since time.Time
	for _, s := range k.states {
		if !s.at.After(at) {
			state, since = s.state, s.at
		}
	}
	for _, gone := range k.gone {
		if !gone.After(at) && !gone.Before(since) {
			return false
		}
	}
	return state == wire.StateAdmitted && since.Before(at)
}

// knewOfRecording reports whether what a participant was told last before an instant, or at it, is that
// it is being recorded.
func (k *knowledge) knewOfRecording(at time.Time) bool {
	knew := false
	for _, r := range k.recordings {
		if r.at.After(at) {
			break
		}
		knew = r.on || knew && r.at.Equal(at)
	}
	return knew
}

// heardRecording is what a participant was told of the recording.
type heardRecording struct {
	at time.Time
	on bool
}

// Recorded returns how many packets were written, in how many recordings.
func (w *World) Recorded() (packets, recordings int) {
	w.tapes.mu.Lock()
	defer w.tapes.mu.Unlock()
	return len(w.tapes.writes), w.tapes.begun
}
