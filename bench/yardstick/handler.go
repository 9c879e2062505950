package yardstick

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	maxOffer      = 1 << 20
	patience      = 30 * time.Second // of a watcher, for the tracks it wants
	maxTracks     = 1000
	sessionsLimit = 1 << 14
)

// Server is one of the servers behind a Handler. Its sessions end by being closed.
type Server interface {
	// Publish answers an offer of tracks.
	Publish(ctx context.Context, room, id, offer string) (answer string, session io.Closer, err error)
	// Watch answers an offer of receiving m-lines with the tracks of everybody else in the room.
	Watch(ctx context.Context, room, id, offer string, tracks int) (answer string, session io.Closer, err error)
}

// ErrOffer marks an offer that cannot be answered.
var ErrOffer = errors.New("yardstick: offer")

// Handler speaks WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) for a Server.
type Handler struct {
	server Server
	mux    http.ServeMux

	mu       sync.Mutex
	sessions map[string]io.Closer // by the path of their Location
	last     uint64
}

// NewHandler returns a Handler. Close ends its sessions.
func NewHandler(s Server) *Handler {
	h := &Handler{server: s, sessions: make(map[string]io.Closer)}
	h.mux.HandleFunc("POST /whip/{room}/{id}", h.publish)
	h.mux.HandleFunc("POST /whep/{room}/{id}", h.watch)
	h.mux.HandleFunc("DELETE /session/{number}", h.end)
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Handler) publish(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, func(offer string) (string, io.Closer, error) {
		return h.server.Publish(r.Context(), r.PathValue("room"), r.PathValue("id"), offer)
	})
}

func (h *Handler) watch(w http.ResponseWriter, r *http.Request) {
	tracks := 0
	if q := r.URL.Query().Get("tracks"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 0 || n > maxTracks {
			http.Error(w, "tracks: not a number of tracks", http.StatusBadRequest)
			return
		}
		tracks = n
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	h.answer(w, r, func(offer string) (string, io.Closer, error) {
		return h.server.Watch(ctx, r.PathValue("room"), r.PathValue("id"), offer, tracks)
	})
}

// answer reads the offer, has it answered and keeps the session.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, by func(offer string) (string, io.Closer, error)) {
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOffer))
	if err != nil {
		http.Error(w, "offer: "+err.Error(), http.StatusBadRequest)
		return
	}
	answer, session, err := by(string(offer))
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, ErrOffer) {
			status = http.StatusUnprocessableEntity
		}
		http.Error(w, err.Error(), status)
		return
	}
	location, ok := h.keep(session)
	if !ok {
		_ = session.Close()
		http.Error(w, "too many sessions", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

func (h *Handler) keep(session io.Closer) (location string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions == nil || len(h.sessions) == sessionsLimit {
		return "", false
	}
	h.last++
	location = fmt.Sprintf("/session/%d", h.last)
	h.sessions[location] = session
	return location, true
}

func (h *Handler) end(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	session := h.sessions[r.URL.Path]
	delete(h.sessions, r.URL.Path)
	h.mu.Unlock()
	if session == nil {
		http.NotFound(w, r)
		return
	}
	if err := session.Close(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// Close ends all sessions; later ones are refused.
func (h *Handler) Close() error {
	h.mu.Lock()
	sessions := h.sessions
	h.sessions = nil
	h.mu.Unlock()
	var errs []error
	for _, s := range sessions {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
