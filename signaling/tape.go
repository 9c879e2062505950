package signaling

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	// startTimeout and stopTimeout bound what the recorder may take, beside the room, which goes on.
	startTimeout = 10 * time.Second
	stopTimeout  = 10 * time.Second
	// auditRetry is how long a recording stays paused whose going on could not be written down.
	auditRetry = 10 * time.Second
)

// Reasons for which a recording stops, beside those of package wire.
const stoppedEmpty = "empty" // nobody is left

// tape is the recording of a room. Only the room's goroutine touches it, but for what mu guards.
type tape struct {
	session  RecordingSession // nil: none
	starting bool
	retry    time.Time
	gaps     int
	news     chan func()   // capacity 1: of the one start that there may be at a time
	stirred  chan struct{} // capacity 1: the recorder has said something
	running  sync.WaitGroup
	heard    *heard

	mu       sync.Mutex     // held while the media plane is told whom to capture
	captured []string       // whose media may reach the recorder
	vetoes   map[string]int // noes of each that the room has not come to: with any of them nobody is captured
}

// heard is what the recorder has said last.
type heard struct {
	mu    sync.Mutex
	fault string
	gaps  int
}

func newTape() *tape {
	return &tape{news: make(chan func(), 1), stirred: make(chan struct{}, 1), heard: new(heard), vetoes: make(map[string]int)}
}

// narrow makes the media plane record nobody who may not be recorded now. It is called before anybody
// new is let in, and when somebody withdraws before that is written down.
func (r *room) narrow() {
	may := r.consult.Captured()
	r.capture(slices.DeleteFunc(r.tape.now(), func(id string) bool { return !slices.Contains(may, id) }))
}

func (t *tape) now() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.captured)
}

// widen makes the media plane record those who may be, after everybody has been told.
func (r *room) widen() {
	if r.tape.session != nil {
		r.capture(r.consult.Captured())
	}
}

func (r *room) capture(ids []string) {
	if r.broken != nil {
		return
	}
	if err := r.tell(ids); err != nil {
		r.fail(err)
	}
}

// tell tells the media plane whom to capture.
func (r *room) tell(ids []string) error {
	r.tape.mu.Lock()
	defer r.tape.mu.Unlock()
	if r.tape.vetoed(ids) {
		ids = nil
	}
	if slices.Equal(ids, r.tape.captured) {
		return nil
	}
	c := sfu.Capture{Peers: ids, Reason: r.consult.RecordingReason()}
	if session := r.tape.session; session != nil {
		c.Open = func(of sfu.Captured) sfu.Tap { return session.Tap(of.Peer, of.Source, of.KeyFrame) }
	}
	ctx, cancel := context.WithTimeout(context.Background(), mediaTimeout)
	defer cancel()
	if err := r.media.SetCapture(ctx, c); err != nil {
		return err
	}
	r.tape.captured = ids
	return nil
}

// veto stops all recording of the room at once if anybody of ids is recorded, and lets none of them be: whatever
// the room is waiting for; it may be the disk of the audit log. The room comes to the no in its turn and ends the
// veto. Of somebody in the lobby it stops nothing. Any goroutine may call it.
func (r *room) veto(ids []string) {
	t := r.tape
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		t.vetoes[id]++
	}
	if !t.vetoed(t.captured) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), mediaTimeout)
	defer cancel()
	if err := r.media.SetCapture(ctx, sfu.Capture{Reason: wire.RecordingWithdrawn}); err != nil {
		r.log.Error("media room did not stop recording", "error", err) // the room's own attempt ends everything
		return
	}
	t.captured = nil
}

// vetoed tells whether somebody of ids has said no; mu is held.
func (t *tape) vetoed(ids []string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return t.vetoes[id] > 0 })
}

func (r *room) endVeto(ids []string) {
	r.tape.mu.Lock()
	defer r.tape.mu.Unlock()
	for _, id := range ids {
		if r.tape.vetoes[id]--; r.tape.vetoes[id] == 0 {
			delete(r.tape.vetoes, id)
		}
	}
}

// resume goes on with what a veto has stopped that came to nothing.
func (r *room) resume() {
	if r.consult != nil && r.broken == nil {
		r.widen()
	}
}

// consent is somebody's word about being recorded. A no has taken effect already, when it was read.
func (s *session) consent(ctx context.Context, m *wire.Consent) error {
	if !s.isNo(m) {
		return s.decide(ctx, s.consents(m))
	}
	var e consult.Effects
	var err error
	if doErr := s.room.do(context.WithoutCancel(ctx), func() {
		s.room.endVeto(s.speaksFor) // what follows knows of it
		if e, err = s.room.decide(s, s.consents(m)); err != nil {
			s.room.resume()
		}
	}); doErr != nil {
		return doErr
	}
	if err == nil {
		s.keep(ctx, e)
	}
	return err
}

func (s *session) consents(m *wire.Consent) command {
	return func(now time.Time, c *consult.Consultation) (consult.Effects, error) {
		return c.Consent(now, s.participant, m.Recording, m.Notice)
	}
}

// advance takes the steps of the recording that follow from where everybody stands. What begins to be
// written is in the audit log before; when that fails, it stays paused.
func (r *room) advance() {
	before, now := r.consult.Clone(), r.now()
	e := r.consult.Record(now)
	if err := r.rooms.server.attest(context.Background(), r.events(nil, e)...); err != nil && e.Grants {
		r.consult = before
		r.tape.retry = r.now().Add(auditRetry)
		e = r.consult.RecorderFails(wire.RecordingAuditUnavailable)
		_ = r.witness(nil, e)
		r.note(now, e)
		e = r.consult.Record(r.now())
		_ = r.witness(nil, e)
	}
	r.note(now, e)
	switch {
	case r.consult.Requested() && r.tape.session == nil && !r.tape.starting:
		r.startTape()
	case r.tape.session != nil && !r.consult.Recorded() && !r.consult.Ready():
		r.stopTape()
	}
}

// note tells the recorder what happened to the consent that it works by. What is taken away has been since it
// was decided; what is granted is from now on, when it has been written down.
func (r *room) note(decided time.Time, e consult.Effects) {
	if r.tape.session == nil {
		return
	}
	if e.Grants {
		decided = r.now()
	}
	for _, v := range e.Events {
		if isAboutRecording(v.Name) {
			r.tape.session.Note(RecordingNote{At: decided, Event: v.Name, Participant: v.Subject, Reason: v.Reason})
		}
	}
}

func isAboutRecording(event string) bool {
	switch event {
	case consult.EventConsentRequested, consult.EventConsentGranted, consult.EventConsentDenied, consult.EventConsentWithdrawn,
		consult.EventRecordingStarted, consult.EventRecordingPaused, consult.EventRecordingResumed, consult.EventRecordingStopped:
		return true
	}
	return false
}

// startTape starts the recorder beside the room.
func (r *room) startTape() {
	r.tape.starting = true
	h := new(heard) // of this recording alone: the one before may still be ending
	r.tape.heard = h
	o := RecordingOptions{Tenant: r.record.Tenant, Consultation: r.id, Notify: func(n RecorderNews) { r.notified(h, n) }}
	r.tape.running.Go(func() { r.runStart(o) })
}

func (r *room) runStart(o RecordingOptions) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	session, err := r.rooms.server.deps.Recorder.Start(ctx, o)
	r.tape.news <- func() { r.started(session, err) }
}

// started is the recorder having started, or not. The request may be over by now.
func (r *room) started(session RecordingSession, err error) {
	r.tape.starting = false
	if err != nil {
		r.log.Error("recording not started", "error", err)
		e := r.consult.RecorderFails(wire.RecordingUnavailable)
		_ = r.witness(nil, e)
		r.settle()
		return
	}
	r.tape.session = session
	r.tape.gaps = 0
	for _, a := range r.consult.Agreements() {
		event := map[wire.Decision]string{wire.ConsentGranted: consult.EventConsentGranted, wire.ConsentDenied: consult.EventConsentDenied,
			wire.ConsentWithdrawn: consult.EventConsentWithdrawn}[a.Decision]
		session.Note(RecordingNote{At: a.At, Event: event, Participant: a.Participant, Reason: a.Notice})
	}
	r.log.Info("recording", "recording", session.ID())
	r.consult.RecorderReady()
	r.settle()
}

// stopTape ends the recording; it is completed beside the room.
func (r *room) stopTape() {
	session, reason := r.tape.session, r.consult.RecordingReason()
	r.capture(nil)
	r.tape.session = nil
	r.log.Info("recording ends", "recording", session.ID(), "reason", reason)
	sealed := audit.Event{Name: audit.RecordingSealed, Tenant: r.record.Tenant, Consultation: r.id,
		Actor: audit.Actor{Kind: audit.KindServer}, Outcome: audit.OutcomeOK, Reason: reason}
	runStop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		hash, err := session.Stop(ctx, reason)
		if err != nil {
			r.log.Error("recording not completed", "recording", session.ID(), "error", err)
			return
		}
		sealed.Time, sealed.Subject = r.now(), audit.Subject{ID: session.ID(), Ref: "sha256:" + hash}
		_ = r.rooms.server.attest(ctx, sealed)
	}
	r.tape.running.Go(runStop)
}

// closeTape ends what is still being recorded when the room ends, and waits.
func (r *room) closeTape() {
	if r.consult != nil {
		now := r.now()
		e := r.consult.EndRecording(stoppedEmpty)
		_ = r.witness(nil, e)
		r.note(now, e)
	}
	r.tape.running.Wait() // for one that is just starting
	select {
	case f := <-r.tape.news:
		f()
	default:
	}
	if r.tape.session != nil {
		r.stopTape()
	}
	r.tape.running.Wait()
}

// notified is what the recorder calls.
func (r *room) notified(h *heard, n RecorderNews) {
	h.mu.Lock()
	if n.Changed {
		h.fault = n.Fault
	}
	h.gaps += n.Gaps
	h.mu.Unlock()
	select {
	case r.tape.stirred <- struct{}{}:
	default:
	}
}

// listen takes over what the recorder has said; gaps, of which there may be many, every now and then.
func (r *room) listen(all bool) {
	if r.consult == nil || r.tape.session == nil {
		return
	}
	h := r.tape.heard
	h.mu.Lock()
	fault, gaps := h.fault, h.gaps
	h.mu.Unlock()
	if fault == "" && r.now().Before(r.tape.retry) {
		fault = wire.RecordingAuditUnavailable
	}
	changed := r.consult.RecorderFault() != fault
	if changed {
		_ = r.witness(nil, r.consult.RecorderFails(fault))
	}
	if all && gaps != r.tape.gaps {
		r.tape.gaps, changed = gaps, true
	}
	if changed {
		r.settle()
	}
}

// tellRecording queues for a session what it is to know of the recording, if that has changed. It reports
// whether it could.
func (r *room) tellRecording(s *session) bool {
	m := r.consult.Recording(s.participant)
	if r.policy.Recording == wire.PolicyNever && s.toldTape.State == "" {
		return true
	}
	if p := r.record.find(s.participant); p != nil && p.Role == wire.RoleClinician && m.State != wire.RecordingOff {
		m.Gaps = r.tape.gaps
	}
	if sameRecording(m, s.toldTape) {
		return true
	}
	s.toldTape = m
	return s.enqueue(&m, 0)
}

func sameRecording(a, b wire.Recording) bool {
	return a.State == b.State && a.Notice == b.Notice && a.Reason == b.Reason && a.Consent == b.Consent && a.Gaps == b.Gaps &&
		slices.Equal(a.Missing, b.Missing)
}

// record is a clinician asking for a recording, or ending it.
func (s *session) record(ctx context.Context, m *wire.Record) error {
	switch m.Action {
	case wire.RecordRequest:
		return s.decide(ctx, func(now time.Time, c *consult.Consultation) (consult.Effects, error) {
			e, err := c.RequestRecording(now, s.participant)
			if err != nil {
				return consult.Effects{}, err
			}
			if err := s.server.deps.Recorder.Ready(); err != nil {
				return consult.Effects{}, &consult.Error{Code: wire.CodeRecordingFailed, Detail: err.Error()}
			}
			return e, nil
		})
	case wire.RecordStop:
		return s.decide(ctx, func(_ time.Time, c *consult.Consultation) (consult.Effects, error) {
			return c.StopRecording(s.participant)
		})
	}
	return badMessage("record: action is request or stop")
}
