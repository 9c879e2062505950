package signaling

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/signaling/consult"
	"github.com/bedside-video/bedside/signaling/whip"
	"github.com/bedside-video/bedside/signaling/wire"
)

// mediaTimeout bounds a call into the media plane. It only ever waits for the room's goroutine
// there, which does nothing slow.
const mediaTimeout = 5 * time.Second

// room is one live consultation: the single writer of its rules, of its sessions and of who sends
// media to whom.
type room struct {
	rooms    *rooms
	id       string
	log      *slog.Logger
	commands chan func()   // unbuffered: whoever sends waits, and with a context
	released chan struct{} // capacity 1: somebody may have been the last holder
	done     chan struct{} // closed when everything is closed
	keeper   *keeper       // of who stands where
	present  atomic.Bool   // whether a clinician is in the room, for POST /v1/join

	holders int  // how many keep the room from ending; guarded by rooms.mu
	retired bool // it is ending: nobody can hold it any more; guarded by rooms.mu

	// The room's goroutine alone.
	broken   error  // why the room cannot be used; nil while it can
	record   record // as it was when it was read last: who people are, not where they stand
	consult  *consult.Consultation
	media    MediaRoom
	policy   wire.Policy
	sessions []*session // in the order of joining
	flowing  []string   // between whom media flows: a subset of what every session was last told
	links    links
	tape     *tape
}

func newRoom(rs *rooms, id string) *room {
	log := rs.server.deps.Log.With("consultation", id)
	return &room{
		rooms: rs, id: id, log: log, keeper: newKeeper(rs.server.records, id, log),
		commands: make(chan func()), released: make(chan struct{}, 1), done: make(chan struct{}),
		links: newLinks(newReportKeeper(rs.server.records, id, log)), tape: newTape(),
	}
}

func (r *room) run() {
	defer close(r.done)
	defer r.rooms.forget(r)
	r.open()
	defer r.closeMedia()
	defer r.closeTape()
	defer r.startKeeper()()
	defer func() { r.links.report.close(&r.links.line) }()
	measuring := time.NewTicker(measureInterval)
	defer measuring.Stop()
	for !r.idle() || !r.rooms.retire(r) {
		timer := time.NewTimer(r.untilNext())
		select {
		case f := <-r.commands:
			f()
		case <-timer.C:
			e := r.consult.Tick(r.now())
			_ = r.witness(nil, e) // time grants nothing
			r.carry(e)
			r.settle(e.Moved...)
		case <-measuring.C:
			r.measure()
			r.listen(true)
		case <-r.tape.stirred:
			r.listen(false)
		case f := <-r.tape.news:
			f()
		case <-r.released:
		}
		timer.Stop()
	}
	r.log.Info("consultation is empty")
}

// startKeeper starts the keeper; the function that it returns stops it and waits.
func (r *room) startKeeper() (stop func()) {
	stopping, stopped := make(chan struct{}), make(chan struct{})
	runKeeper := func() { r.keeper.run(stopping); close(stopped) }
	go runKeeper()
	return func() { close(stopping); <-stopped }
}

// do runs f on the room's goroutine and waits for it. The caller holds the room.
func (r *room) do(ctx context.Context, f func()) error {
	finished := make(chan struct{})
	runF := func() { f(); close(finished) }
	select {
	case r.commands <- runF:
		<-finished
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *room) now() time.Time { return r.rooms.server.deps.Clock() }

func (r *room) open() {
	s := r.rooms.server
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	rec, err := s.records.load(ctx, r.id)
	if err == nil {
		r.record = rec
		r.consult, err = consult.New(s.spec(rec))
	}
	if err == nil && !rec.Ended.IsZero() {
		r.consult.Close(r.now(), rec.EndReason)
	}
	if err == nil {
		r.media, err = s.deps.Media.OpenRoom(r.id, sfu.RoomOptions{
			MaxPeers: rec.Policy.MaxParticipants, H264: rec.VideoCodec == codec.H264.String(),
		})
	}
	if err == nil {
		err = r.restore(ctx)
	}
	if err != nil {
		r.log.Error("consultation cannot be opened", "error", err)
		r.broken = &consult.Error{Code: wire.CodeUnavailable, Detail: "the consultation cannot be opened now"}
		return
	}
	r.policy = wire.Policy{Recording: s.recordingOf(rec), Profile: rec.Profile, VideoCodec: rec.VideoCodec, MaxParticipants: rec.Policy.MaxParticipants}
	if r.policy.Recording != wire.PolicyNever {
		r.policy.Notice = s.deps.Notice
	}
	r.log.Info("consultation is live")
}

// restore gives people back the places they had when the server stopped, if it has just started.
func (r *room) restore(ctx context.Context) error {
	s := r.rooms.server
	seats, err := s.records.seats(ctx, r.id)
	if err != nil {
		return err
	}
	r.keeper.seats = seats // before it runs
	r.consult.Restore(r.now(), s.started.Add(consult.Grace), seats)
	r.keeper.note(r.consult.Seats())
	r.links.line, err = s.records.report(ctx, r.id)
	if err != nil { // no reason to keep people apart
		r.log.Error("report not read", "error", err)
	}
	return nil
}

func (r *room) closeMedia() {
	if r.media != nil {
		if err := r.media.Close(); err != nil {
			r.log.Error("media room did not close", "error", err)
		}
	}
}

func (r *room) idle() bool {
	return len(r.sessions) == 0 && (r.consult == nil || r.consult.Empty() || r.broken != nil || r.rooms.stopping())
}

// untilNext is how long nothing is due: without end when the consultation is over or cannot be used.
func (r *room) untilNext() time.Duration {
	const never = 24 * time.Hour
	if r.broken != nil || r.consult == nil || r.consult.Next().IsZero() {
		return never
	}
	return r.consult.Next().Sub(r.now())
}

// connect lets a session in. Errors are *consult.Error or of the media plane.
func (r *room) connect(ctx context.Context, s *session, cmd consult.Connect, re uint64) (consult.Effects, error) {
	if r.broken != nil {
		return consult.Effects{}, r.broken
	}
	before := r.consult.Clone()
	e, err := r.consult.Connect(r.now(), cmd)
	if err == nil {
		err = r.witness(s, e)
	}
	if err != nil {
		r.consult = before
		return consult.Effects{}, err
	}
	r.carry(e)
	person := r.person(cmd.Participant)
	rights := consult.Person{Role: person.Role, Proxy: person.Proxy, Watch: person.Watch}.Rights()
	o := sfu.PeerOptions{
		ID: person.ID, Subscribe: rights.May(consult.VerbSubscribe) && s.by != whip.WHIP,
		NeverEvict: person.Role == wire.RoleInterpreter, Profile: r.policy.Profile, Events: mediaEvents{s},
	}
	for _, source := range rights.Publish {
		o.Publish = append(o.Publish, codec.Source(source))
	}
	s.self.Tenant, s.self.Consultation = r.record.Tenant, r.id
	if p := r.record.find(person.ID); p != nil {
		s.self.Actor = p.actor()
	}
	if rights.May(consult.VerbConsent) {
		s.speaksFor = r.recordedBy(person.ID)
	}
	if s.peer, err = r.media.Join(ctx, o); err != nil {
		r.log.Error("participant cannot join the media room", "participant", person.ID, "error", err)
		_, _ = r.consult.Leave(r.now(), person.ID, s.id, "")
		r.settle()
		return e, &consult.Error{Code: wire.CodeUnavailable, Detail: "no media connection can be opened now"}
	}
	s.log.Info("joined", "role", person.Role, "state", person.State, "resumed", cmd.Resume != "")
	r.sessions = append(r.sessions, s)
	if !r.welcome(s, cmd, person, rights, re) {
		r.lose(s, "gone") // the server is stopping
	}
	r.settle()
	return e, nil
}

// recordedBy returns those who are recorded by somebody's consent: themselves, and a patient whose guardian they are.
func (r *room) recordedBy(id string) []string {
	ids := []string{id}
	if p := r.record.find(id); p != nil && r.record.patient(p.ProxyFor) != "" {
		ids = append(ids, r.record.patient(p.ProxyFor))
	}
	return ids
}

// person returns the roster's line of a connected participant, as they see themselves.
func (r *room) person(id string) wire.Participant {
	for _, p := range r.consult.Roster(id).Participants {
		if p.ID == id {
			return p
		}
	}
	return wire.Participant{ID: id}
}

// welcome queues the reply to join, the first message of the session. It reports whether it could.
func (r *room) welcome(s *session, cmd consult.Connect, self wire.Participant, rights consult.Rights, re uint64) bool {
	resume, err := r.rooms.server.tokens.resume(r.id, self.ID, s.id, cmd.Epoch)
	if err != nil {
		s.log.Error("no resume token", "error", err) // the session works; it cannot be resumed
	}
	roster := r.consult.Roster(self.ID)
	policy := r.policy
	policy.Publish = slices.Clone(rights.Publish)
	for _, verb := range rights.Can {
		if aboutRecording := verb == consult.VerbRecord || verb == consult.VerbConsent; !aboutRecording || policy.Recording != wire.PolicyNever {
			policy.Can = append(policy.Can, string(verb))
		}
	}
	count := sfu.SlotsFor(policy.MaxParticipants)
	if !rights.May(consult.VerbSubscribe) {
		count = sfu.SlotCount{}
	}
	s.told = roster
	return s.enqueue(&wire.Joined{
		Self: self.ID, Role: self.Role, Display: self.Display, State: self.State,
		Roster: roster.Participants, Slots: wire.SlotCount{Audio: count.Audio, Video: count.Video},
		ICEServers: s.iceServers(), Policy: policy, Facts: roster.Facts, Resume: resume,
	}, re)
}

// lose is a session whose connection is gone. It keeps its place for a while.
func (r *room) lose(s *session, reason string) {
	if slices.Contains(r.sessions, s) {
		if s.isFinished() {
			reason = "gone" // before it could be slow: nothing can be queued for what is over
		}
		r.drop(s, reason)
		e := r.consult.Disconnect(r.now(), s.participant, s.id)
		r.narrow()
		_ = r.witness(s, e) // nothing is granted
		s.log.Info("disconnected", "reason", reason)
	}
}

// carry does what a command brought about for sessions: those that are over lose their media, are
// told and closed. settle tells the others.
func (r *room) carry(e consult.Effects) {
	for _, ended := range e.Ended {
		i := slices.IndexFunc(r.sessions, func(s *session) bool { return s.id == ended.Session })
		if i >= 0 {
			s := r.sessions[i]
			r.drop(s, ended.Reason)
			s.log.Info("session ended", "reason", ended.Reason)
		}
	}
	if e.Over != "" {
		r.log.Info("consultation ended", "reason", e.Over)
	}
}

// drop takes a session's media away and closes it.
func (r *room) drop(s *session, reason string) {
	r.sessions = slices.DeleteFunc(r.sessions, func(x *session) bool { return x == s })
	r.flow(slices.DeleteFunc(slices.Clone(r.flowing), func(id string) bool { return id == s.participant }))
	if err := s.peer.Close(); err != nil {
		s.log.Error("media connection did not close", "error", err)
	}
	s.endRelay()
	s.end(reason)
}

// settle makes the media plane and everybody's roster agree with the rules. It is the only place
// where media starts, and keeps the invariant "no hidden subscriber": who leaves is silent before
// anybody is told; who comes is in every session's queue before they are heard. A session that
// cannot be told is closed instead of being waited for, and then the others are told that, too.
func (r *room) settle(moved ...string) {
	if r.consult == nil || r.broken != nil {
		return
	}
	r.narrow()
	r.advance()
	for {
		admitted := r.consult.Admitted()
		r.flow(slices.DeleteFunc(slices.Clone(r.flowing), func(id string) bool { return !slices.Contains(admitted, id) }))
		slow := r.announce(moved)
		if len(slow) == 0 {
			r.flow(admitted)
			r.widen()
			r.present.Store(r.consult.Facts().ClinicianPresent)
			r.keeper.note(r.consult.Seats())
			return
		}
		moved = nil
		for _, s := range slow {
			r.lose(s, wire.EndedSlow)
		}
		r.narrow()
		r.advance()
	}
}

// announce queues for every session the roster if it has changed, and to those who have moved where
// they stand. It returns the sessions whose queue is full.
func (r *room) announce(moved []string) (slow []*session) {
	for _, s := range r.sessions {
		roster := r.consult.Roster(s.participant)
		ok := true
		if !sameRoster(roster, s.told) {
			ok = s.enqueue(&roster, 0)
			s.told = roster
		}
		if ok && slices.Contains(moved, s.participant) {
			ok = s.enqueue(&wire.StateChanged{State: r.consult.State(s.participant), Facts: roster.Facts}, 0)
		}
		if !ok || !r.tellRecording(s) {
			slow = append(slow, s)
		}
	}
	return slow
}

func sameRoster(a, b wire.Roster) bool {
	return a.Facts == b.Facts && slices.EqualFunc(a.Participants, b.Participants, func(x, y wire.Participant) bool {
		return x.ID == y.ID && x.Role == y.Role && x.Display == y.Display && x.State == y.State &&
			x.Connected == y.Connected && x.Waiting == y.Waiting && slices.Equal(x.Muted, y.Muted)
	})
}

// flow lets media flow between exactly these participants.
func (r *room) flow(admitted []string) {
	if r.broken != nil || slices.Equal(admitted, r.flowing) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), mediaTimeout)
	defer cancel()
	if err := r.media.SetRoster(ctx, admitted); err != nil {
		r.fail(err)
		return
	}
	r.flowing = admitted
}

// fail is for a media plane that no longer does what it is told: nobody can say who hears whom, so
// everything ends. People join again and get another room.
func (r *room) fail(err error) {
	r.log.Error("media room failed", "error", err)
	r.broken = &consult.Error{Code: wire.CodeUnavailable, Detail: "the media plane has failed"}
	for _, s := range slices.Clone(r.sessions) {
		r.drop(s, wire.EndedMediaFailed)
	}
	r.present.Store(false)
	r.keeper.note(nil)
}
