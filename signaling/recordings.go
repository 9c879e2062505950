package signaling

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	// readFor bounds one request for a part, which may have gigabytes; who has not got it all asks for the rest.
	readFor = 15 * time.Minute
	// maxKeyBytes of a wrapped key: 2 kB for two recipients.
	maxKeyBytes = 64 << 10
	// maxListed recordings in one answer; the newest come first.
	maxListed = 1000
)

// Recording is what the API tells of one. The media is sealed: the server cannot open it.
type Recording struct {
	ID           string          `json:"id" example:"01KAH0M4N6Y9M6J3Q2W8T5R7ZD"`
	Consultation string          `json:"consultation"`
	State        recording.State `json:"state" enum:"open,complete,recovered,erased" doc:"recovered: the server had stopped in the middle of it"`
	Started      time.Time       `json:"started"`
	Ended        time.Time       `json:"ended,omitzero"`
	RetainUntil  time.Time       `json:"retain_until,omitzero" doc:"When it is erased, unless it is before"`
	Bytes        int64           `json:"bytes"`
	Parts        []RecordingPart `json:"parts" nullable:"false"`
}

// RecordingPart is one file: what one participant sent for some time.
type RecordingPart struct {
	N           int    `json:"n"`
	Participant string `json:"participant"`
	Bytes       int64  `json:"bytes"`
	SHA256      string `json:"sha256,omitempty" doc:"Of the sealed bytes, when the part is complete"`
}

// RecordingList is the answer to GET /v1/recordings.
type RecordingList struct {
	Recordings []Recording `json:"recordings" nullable:"false" doc:"The newest first, 1,000 at most"`
}

// reader is who asks: an API key with the scope recordings, or a clinician who is in the consultation.
type reader struct {
	tenant       string
	consultation string // the only one, of a clinician
	event        audit.Event
}

func (rd *reader) mayRead(m recording.Manifest) bool {
	return m.Tenant == rd.tenant && (rd.consultation == "" || m.Consultation == rd.consultation)
}

// registerRecordings registers what can be done with recordings.
func (s *Server) registerRecordings(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/recordings", s.forReaders(s.listRecordings))
	mux.HandleFunc("GET /v1/recordings/{id}", s.forReaders(s.showRecording))
	mux.HandleFunc("DELETE /v1/recordings/{id}", s.forReaders(s.eraseRecording))
	mux.HandleFunc("PUT /v1/recordings/{id}/key", s.forReaders(s.rekeyRecording))
	mux.HandleFunc("DELETE /v1/recordings/{id}/keys", s.forReaders(s.forgetKeys))
	mux.HandleFunc("GET /v1/recordings/{id}/keys/{k}", s.forReaders(s.readRecording(FileFormerKey)))
	mux.HandleFunc("GET /v1/recordings/{id}/manifest", s.forReaders(s.readRecording(FileManifest)))
	mux.HandleFunc("GET /v1/recordings/{id}/key", s.forReaders(s.readRecording(FileKey)))
	mux.HandleFunc("GET /v1/recordings/{id}/parts/{n}", s.forReaders(s.readRecording(FilePart)))
}

// forReaders makes a handler that knows who asks.
func (s *Server) forReaders(serve func(http.ResponseWriter, *http.Request, *reader) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Origin")
		rd, err := s.reader(r)
		if err == nil {
			if origin := r.Header.Get("Origin"); origin != "" {
				h.Set("Access-Control-Allow-Origin", origin) // the key's: authenticate has seen it
			}
			err = serve(w, r, rd)
		}
		status := http.StatusOK
		if err != nil {
			err = s.internal("recordings", err)
			status = problemOf(err).Status
			writeProblem(w, err)
		}
		s.metrics.api.WithLabelValues("recordings", strconv.Itoa(status)).Inc()
	}
}

// reader finds out who asks, and writes down who may not.
func (s *Server) reader(r *http.Request) (*reader, error) {
	authorization, origin := r.Header.Get("Authorization"), strings.Join(r.Header["Origin"], ", ")
	if token, ok := strings.CutPrefix(authorization, "Bearer "); ok && origin == "" && strings.HasPrefix(token, tokenHeader) {
		return s.readerInRoom(r, token)
	}
	key, err := s.authenticate(authorization, origin, config.ScopeRecordings)
	event := ofKey(key)
	event.Net = prefixOf(r.RemoteAddr)
	if err != nil {
		s.refused(audit.AccessDenied, &event, err)
		return nil, err
	}
	event.Actor.Kind = audit.KindKey
	return &reader{tenant: key.Tenant, event: event}, nil
}

// readerInRoom lets a clinician in who is in the room, by the resume token of the session that they have:
// to the recordings of that consultation, and to read only.
func (s *Server) readerInRoom(r *http.Request, token string) (*reader, error) {
	event := audit.Event{Net: prefixOf(r.RemoteAddr)}
	refuse := func(err error) (*reader, error) {
		s.refused(audit.AccessDenied, &event, err)
		return nil, err
	}
	c, err := s.tokens.check(token, audienceResume)
	if err != nil {
		return refuse(err)
	}
	forbidden := refusal(wire.CodeForbidden, "only a clinician who is in the consultation reads its recordings")
	live := s.rooms.lookup(c.Consultation)
	if live == nil {
		return refuse(forbidden)
	}
	defer s.rooms.release(live)
	rd := &reader{consultation: c.Consultation}
	if err := live.do(r.Context(), func() {
		if p := live.record.find(c.Subject); p != nil {
			rd.tenant = live.record.Tenant
			event.Tenant, event.Consultation, event.Session, event.Actor = rd.tenant, c.Consultation, c.Session, p.actor()
			if live.holds(c.Subject, c.Session) && p.Role == wire.RoleClinician {
				err = nil
				return
			}
		}
		err = forbidden
	}); err != nil {
		return nil, err
	}
	if err != nil {
		return refuse(err)
	}
	rd.event = event
	return rd, nil
}

// holds reports whether a participant is in the room by that session.
func (r *room) holds(participant, session string) bool {
	if r.consult == nil || r.consult.State(participant) != wire.StateAdmitted {
		return false
	}
	for _, s := range r.sessions {
		if s.participant == participant && s.id == session {
			return true
		}
	}
	return false
}

// attestReader writes down that something of a recording is about to be read, erased or changed.
func (s *Server) attestReader(ctx context.Context, rd *reader, name audit.Name, m recording.Manifest, what string) error {
	return s.attest(ctx, s.readerEvent(rd, name, m, what))
}

func (s *Server) readerEvent(rd *reader, name audit.Name, m recording.Manifest, what string) audit.Event {
	e := rd.event
	e.Time, e.Name, e.Outcome, e.Reason = s.deps.Clock(), name, audit.OutcomeOK, what
	e.Tenant, e.Consultation, e.Subject = rd.tenant, rd.consultation, audit.Subject{ID: m.ID}
	if m.Consultation != "" {
		e.Consultation = m.Consultation
	}
	return e
}

func (s *Server) listRecordings(w http.ResponseWriter, r *http.Request, rd *reader) error {
	q := r.URL.Query()
	only := q.Get("consultation")
	if len(q) > 1 || len(q) == 1 && !q.Has("consultation") || len(only) > 64 {
		return problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, "the only parameter is consultation")
	}
	all, err := s.deps.Recordings.List(rd.tenant)
	if err != nil {
		return err
	}
	list := RecordingList{Recordings: []Recording{}}
	for _, m := range all {
		if rd.mayRead(m) && (only == "" || m.Consultation == only) && len(list.Recordings) < maxListed {
			list.Recordings = append(list.Recordings, viewRecording(m))
		}
	}
	if err := s.attestReader(r.Context(), rd, audit.RecordingRead, recording.Manifest{}, "list"); err != nil {
		return err
	}
	return writeJSON(w, list)
}

func (s *Server) showRecording(w http.ResponseWriter, r *http.Request, rd *reader) error {
	m, err := s.ownRecording(r, rd)
	if err != nil {
		return err
	}
	if err := s.attestReader(r.Context(), rd, audit.RecordingRead, m, "show"); err != nil {
		return err
	}
	return writeJSON(w, viewRecording(m))
}

// readRecording makes a handler that hands out a file of one kind.
func (s *Server) readRecording(kind string) func(http.ResponseWriter, *http.Request, *reader) error {
	return func(w http.ResponseWriter, r *http.Request, rd *reader) error { return s.handOut(w, r, rd, kind) }
}

// handOut hands out a file, sealed, or a range of it.
func (s *Server) handOut(w http.ResponseWriter, r *http.Request, rd *reader, kind string) error {
	m, err := s.ownRecording(r, rd)
	if err != nil {
		return err
	}
	file := RecordingFile{Kind: kind}
	if number := r.PathValue("n") + r.PathValue("k"); number != "" { // of a part, of a former key
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return noRecording()
		}
		file.Part = int(n)
	}
	f, err := s.deps.Recordings.Open(m.ID, file)
	if err != nil {
		return recordingError(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if err := s.attestReader(r.Context(), rd, audit.RecordingRead, m, kind); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "attachment")
	if kind == FileManifest {
		h.Set("Content-Type", "application/json")
	}
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // RFC 9110 section 14.2: each of many may be a request to a store elsewhere
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(readFor)) // as good as it can be had
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

func (s *Server) eraseRecording(w http.ResponseWriter, r *http.Request, rd *reader) error {
	m, err := s.ownToChange(r, rd)
	if err != nil {
		return err
	}
	if m.State == recording.Open {
		return recordingError(recording.ErrOpen)
	}
	if m.State != recording.Erased {
		if err := s.attestReader(r.Context(), rd, audit.RecordingErased, m, ""); err != nil {
			return err
		}
		// Somebody else may have erased it at the same time.
		if err := s.deps.Recordings.Erase(m.ID, "erased"); err != nil && !errors.Is(err, recording.ErrErased) {
			return recordingError(err)
		}
		s.deps.Log.Info("recording erased", "recording", m.ID)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) rekeyRecording(w http.ResponseWriter, r *http.Request, rd *reader) error {
	m, err := s.ownToChange(r, rd)
	if err != nil {
		return err
	}
	key, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxKeyBytes))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refusal(wire.CodeMessageTooLarge, "a wrapped key has a few kilobytes")
	}
	if err != nil {
		return refusal(wire.CodeBadRequest, "the body cannot be read")
	}
	sum := sha256.Sum256(key)
	return s.changeKey(w, r, rd, m, KeyChange{Wrapped: key}, audit.Event{Subject: audit.Subject{Ref: "sha256:" + hex.EncodeToString(sum[:])}})
}

// forgetKeys destroys the keys that were replaced.
func (s *Server) forgetKeys(w http.ResponseWriter, r *http.Request, rd *reader) error {
	m, err := s.ownToChange(r, rd)
	if err != nil {
		return err
	}
	return s.changeKey(w, r, rd, m, KeyChange{Forget: true}, audit.Event{Reason: "former_keys_destroyed"})
}

// changeKey changes the keys of a recording after writing down what is changed.
func (s *Server) changeKey(w http.ResponseWriter, r *http.Request, rd *reader, m recording.Manifest, c KeyChange, about audit.Event) error {
	e := s.readerEvent(rd, audit.RecordingRekeyed, m, about.Reason)
	e.Subject.Ref = about.Subject.Ref
	if err := s.attest(r.Context(), e); err != nil {
		return err
	}
	if err := s.deps.Recordings.ChangeKey(m.ID, c); err != nil {
		return recordingError(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// ownRecording returns the manifest of the recording that a request names. Another tenant's is not found.
func (s *Server) ownRecording(r *http.Request, rd *reader) (recording.Manifest, error) {
	if r.URL.RawQuery != "" {
		return recording.Manifest{}, problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, "this URL takes no parameters")
	}
	m, err := s.deps.Recordings.Manifest(r.PathValue("id"))
	if err == nil && !rd.mayRead(m) {
		err = recording.ErrNotFound
	}
	return m, recordingError(err)
}

// ownToChange is ownRecording for those who may do more than read.
func (s *Server) ownToChange(r *http.Request, rd *reader) (recording.Manifest, error) {
	m, err := s.ownRecording(r, rd)
	if err == nil && rd.event.Actor.Kind != audit.KindKey {
		err = refusal(wire.CodeForbidden, "only a key with the scope recordings may do this")
		s.refused(audit.AccessDenied, &rd.event, err)
	}
	return m, err
}

func noRecording() error {
	return problem(http.StatusNotFound, wire.CodeNotFound, "there is no such recording")
}

// recordingError gives an error of the store its code.
func recordingError(err error) error {
	switch {
	case errors.Is(err, recording.ErrNotFound):
		return noRecording()
	case errors.Is(err, recording.ErrErased):
		return problem(http.StatusGone, wire.CodeRecordingErased, "the recording is erased")
	case errors.Is(err, recording.ErrOpen):
		return problem(http.StatusConflict, wire.CodeRecordingOpen, "the recording goes on: end it before")
	case errors.Is(err, recording.ErrBadKey):
		return problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, "the body is not a key that is wrapped for two recipients or more")
	case errors.Is(err, recording.ErrManyKeys):
		return problem(http.StatusUnprocessableEntity, wire.CodeBadRequest, err.Error())
	}
	return err
}

func viewRecording(m recording.Manifest) Recording {
	v := Recording{ID: m.ID, Consultation: m.Consultation, State: m.State, Started: m.Created, Ended: m.Ended,
		RetainUntil: m.RetainUntil, Bytes: m.Bytes, Parts: make([]RecordingPart, 0, len(m.Parts))}
	for _, p := range m.Parts {
		v.Parts = append(v.Parts, RecordingPart{N: p.N, Participant: p.Participant, Bytes: p.Size, SHA256: p.SHA256})
	}
	return v
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // to a client that may have gone
	return nil
}

// purge erases the recordings that were to be kept until now at most.
func (s *Server) purge() {
	if s.deps.Recordings == nil {
		return
	}
	all, err := s.deps.Recordings.List("")
	if err != nil {
		s.deps.Log.Error("recordings not purged", "error", err)
		return
	}
	now := s.deps.Clock()
	for _, m := range all {
		if !m.Expired(now) {
			continue
		}
		event := audit.Event{Time: now, Name: audit.RecordingErased, Tenant: m.Tenant, Consultation: m.Consultation,
			Actor: audit.Actor{Kind: audit.KindServer}, Subject: audit.Subject{ID: m.ID}, Outcome: audit.OutcomeOK, Reason: "retention"}
		err := s.attest(context.Background(), event)
		if err == nil {
			err = s.deps.Recordings.Erase(m.ID, "retention")
		}
		if err != nil {
			s.deps.Log.Error("recording not purged", "recording", m.ID, "error", err)
			continue
		}
		s.deps.Log.Info("recording purged", "recording", m.ID)
	}
}
