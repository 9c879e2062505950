package signaling

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/signaling/wire"
)

// The check of a network before a visit takes no invitation, so it is bounded in every respect: by
// address and altogether, in time, in bytes and in their rate. Nothing is sent to an address that has
// not shown itself, by TCP or by an authenticated ICE check.
const (
	// checksPerSecond is of requests, by address, and twice that at once: a check makes up to eight, most of them later.
	checksPerSecond = 4
	// Above what is said of a line that is good enough, and all of them together 32 Mbit/s.
	transferRate  = 500_000 // bytes a second, of one transfer
	transferTime  = 4 * time.Second
	transferBytes = int64(transferRate * transferTime / time.Second)
	transferChunk = 8 << 10
	transfers     = 8
	mediaChecks   = 16
	// perNetwork is how many of either one address may have at once.
	perNetwork     = 2
	maxOfferBytes  = 64 << 10
	downloadBlocks = 8 // of transferChunk, before they repeat: more than compressors on the way remember
)

// checks serve the check of a network before a visit.
type checks struct {
	requests  *addressLimit
	media     *places
	transfers *places
	noise     []byte // what is downloaded: nothing on the way can make it smaller
	figures   figures
}

func newChecks(rand io.Reader) (*checks, error) {
	c := &checks{
		requests: newAddressLimit(checksPerSecond), media: newPlaces(mediaChecks), transfers: newPlaces(transfers),
		noise: make([]byte, downloadBlocks*transferChunk), figures: newFigures(rand),
	}
	if _, err := io.ReadFull(rand, c.noise); err != nil {
		return nil, fmt.Errorf("signaling: random numbers: %w", err)
	}
	return c, nil
}

// places are a few that are given to whoever comes first, and not many to one address.
type places struct {
	most int

	mu    sync.Mutex
	taken int
	of    map[netip.Prefix]int // as many as taken at most
}

func newPlaces(most int) *places { return &places{most: most, of: make(map[netip.Prefix]int)} }

// enter takes a place. leave gives it back.
func (p *places) enter(remote string) (leave func(), err error) {
	network := networkOf(remote)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.taken == p.most:
		return nil, refusal(wire.CodeUnavailable, "many people check their connection now: try again in a few seconds")
	case p.of[network] == perNetwork:
		return nil, refusal(wire.CodeRateLimited, "this address checks its connection already")
	}
	p.taken++
	p.of[network]++
	return func() { p.leave(network) }, nil
}

func (p *places) leave(network netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.of[network]--; p.of[network] == 0 {
		delete(p.of, network)
	}
}

func (s *Server) registerChecks(mux *http.ServeMux) {
	mux.HandleFunc("OPTIONS /v1/check", s.preflight)
	mux.HandleFunc("POST /v1/check", s.checkRoute("media", s.checkMedia))
	mux.HandleFunc("GET /v1/check/{id}", s.checkRoute("figures", s.checkFigures))
	mux.HandleFunc("GET /v1/check/download", s.checkRoute("download", s.download))
	mux.HandleFunc("POST /v1/check/upload", s.checkRoute("upload", s.upload))
}

// checkRoute makes a handler of one of the requests of a check.
func (s *Server) checkRoute(kind string, serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Origin")
		if origin := strings.Join(r.Header["Origin"], ", "); slices.Contains(s.cfg.Origins, origin) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "Location, Server-Timing")
		}
		err := s.mayCheck(r)
		if err == nil {
			err = serve(w, r)
		}
		s.metrics.checks.WithLabelValues(kind, outcomeOf(err)).Inc()
		if err != nil {
			writeProblem(w, s.internal("check", err))
		}
	}
}

// mayCheck refuses before anything is read.
func (s *Server) mayCheck(r *http.Request) error {
	switch {
	case r.URL.RawQuery != "":
		return refusal(wire.CodeTokenInURL, "this URL takes no parameters")
	case !s.originAllowed(r):
		return refusal(wire.CodeForbidden, "pages of this origin may not check connections")
	case s.sessions.draining():
		return refusal(wire.CodeUnavailable, "the server is stopping")
	case !s.checks.requests.take(s.deps.Clock(), r.RemoteAddr):
		return refusal(wire.CodeRateLimited, "too many requests from this address: try again in a few seconds")
	}
	return nil
}

// checkMedia answers the offer of a connection that gets its own sound back, and whose path is measured.
func (s *Server) checkMedia(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Content-Type") != sdpType {
		return problem(http.StatusUnsupportedMediaType, wire.CodeBadRequest, "the body must be "+sdpType)
	}
	leave, err := s.checks.media.enter(r.RemoteAddr)
	if err != nil {
		return err
	}
	answer, id, err := s.beginCheck(w, r, leave)
	if err != nil {
		leave()
		return err
	}
	w.Header().Set("Content-Type", sdpType)
	w.Header().Set("Location", "/v1/check/"+id)
	_, _ = io.WriteString(w, answer)
	return nil
}

// beginCheck begins a check that calls leave when it is over, unless it returns an error.
func (s *Server) beginCheck(w http.ResponseWriter, r *http.Request, leave func()) (answer, id string, err error) {
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOfferBytes))
	if err != nil {
		return "", "", readError(err)
	}
	id, told, err := s.checks.figures.open()
	if err != nil {
		return "", "", err
	}
	ended := func() {
		s.checks.figures.end(id)
		leave()
	}
	answer, err = s.deps.Media.Check(r.Context(), string(offer), sfu.CheckHandler{Found: told.add, Ended: ended})
	if err != nil {
		s.checks.figures.end(id)
		return "", "", mediaError(err)
	}
	return answer, id, nil
}

// readError is what is wrong with a body that could not be read.
func readError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refusal(wire.CodeMessageTooLarge, fmt.Sprintf("the body may have %d bytes", large.Limit))
	}
	return refusal(wire.CodeBadRequest, "the body did not come in time")
}

// download sends bytes at transferRate until the client has seen enough.
func (s *Server) download(w http.ResponseWriter, r *http.Request) error {
	leave, err := s.checks.transfers.enter(r.RemoteAddr)
	if err != nil {
		return err
	}
	defer leave()
	w.Header().Set("Content-Type", "application/octet-stream")
	out := http.NewResponseController(w)
	t := s.beginTransfer(r)
	_ = out.SetWriteDeadline(t.began.Add(transferTime + time.Second)) // a client that reads nothing
	for block := 0; t.more(); block++ {
		at := block % downloadBlocks * transferChunk
		n, err := w.Write(s.checks.noise[at : at+transferChunk])
		if t.done += int64(n); err != nil || out.Flush() != nil {
			break // gone, or it has seen enough
		}
	}
	return nil
}

// upload reads what the client sends at transferRate, and forgets it. It tells how long the body took to come
// (Server-Timing, W3C): the client's own time has the opening of a connection in it, and the way back.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength > transferBytes {
		return refusal(wire.CodeMessageTooLarge, fmt.Sprintf("the body may have %d bytes", transferBytes))
	}
	leave, err := s.checks.transfers.enter(r.RemoteAddr)
	if err != nil {
		return err
	}
	defer leave()
	t := s.beginTransfer(r)
	_ = http.NewResponseController(w).SetReadDeadline(t.began.Add(transferTime + time.Second))
	body := http.MaxBytesReader(w, r.Body, transferBytes)
	for t.more() {
		n, err := io.CopyN(io.Discard, body, transferChunk)
		if t.done += n; errors.Is(err, io.EOF) {
			took := s.deps.Clock().Sub(t.began)
			w.Header().Set("Server-Timing", fmt.Sprintf("body;dur=%.1f", took.Seconds()*1000))
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		if err != nil {
			return readError(err)
		}
	}
	return refusal(wire.CodeBadRequest, "the body did not come in time")
}

// transfer is a download or an upload under way.
type transfer struct {
	server *Server
	gone   <-chan struct{}
	began  time.Time
	done   int64 // bytes
}

func (s *Server) beginTransfer(r *http.Request) *transfer {
	return &transfer{server: s, gone: r.Context().Done(), began: s.deps.Clock()}
}

// more waits until transferRate allows another chunk, and reports whether it may come at all.
func (t *transfer) more() bool {
	due := time.Duration(t.done) * time.Second / transferRate
	passed := t.server.deps.Clock().Sub(t.began)
	if due >= transferTime || passed >= transferTime {
		return false
	}
	if due <= passed {
		return true
	}
	timer := time.NewTimer(due - passed)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.gone:
	case <-t.server.stop:
	}
	return false
}
