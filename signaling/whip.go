package signaling

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/whip"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	whipPath     = "/v1/whip"
	whepPath     = "/v1/whep"
	sdpType      = "application/sdp"
	fragmentType = "application/trickle-ice-sdpfrag"
)

// registerWHIP registers the endpoints and the resources of the WebRTC-HTTP Ingestion Protocol (RFC 9725)
// and the Egress Protocol (draft-ietf-wish-whep), which differ in who sends.
func (s *Server) registerWHIP(mux *http.ServeMux) {
	mux.HandleFunc("OPTIONS /v1/whip", s.whipOptions)
	mux.HandleFunc("POST /v1/whip", s.whipRoute(s.post(whip.WHIP)))
	mux.HandleFunc("OPTIONS /v1/whip/{session}", s.whipOptions)
	mux.HandleFunc("PATCH /v1/whip/{session}", s.whipRoute(s.patch))
	mux.HandleFunc("DELETE /v1/whip/{session}", s.whipRoute(s.hangUp))
	mux.HandleFunc("OPTIONS /v1/whep", s.whipOptions)
	mux.HandleFunc("POST /v1/whep", s.whipRoute(s.post(whip.WHEP)))
	mux.HandleFunc("OPTIONS /v1/whep/{session}", s.whipOptions)
	mux.HandleFunc("PATCH /v1/whep/{session}", s.whipRoute(s.patch))
	mux.HandleFunc("DELETE /v1/whep/{session}", s.whipRoute(s.hangUp))
}

// endpointOf is where a protocol's sessions are opened.
func endpointOf(p whip.Protocol) string {
	if p == whip.WHEP {
		return whepPath
	}
	return whipPath
}

// whipRoute makes a handler of a method of WHIP or WHEP.
func (s *Server) whipRoute(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.whipHeaders(w, r)
		if err := serve(w, r); err != nil {
			writeProblem(w, s.internal("whip", err))
		}
	}
}

// whipOptions answers a browser that asks what a page of another origin may do, with the status that
// RFC 9725 has for it.
func (s *Server) whipOptions(w http.ResponseWriter, r *http.Request) {
	s.whipHeaders(w, r)
	w.Header().Set("Allow", whipMethods(r)+", "+http.MethodOptions)
	if isEndpoint(r) {
		w.Header().Set("Accept-Post", sdpType)
	} else {
		w.Header().Set("Accept-Patch", fragmentType)
	}
	w.WriteHeader(http.StatusOK)
}

func isEndpoint(r *http.Request) bool { return r.URL.Path == whipPath || r.URL.Path == whepPath }

// whipMethods are those of a request's URL.
func whipMethods(r *http.Request) string {
	if isEndpoint(r) {
		return http.MethodPost
	}
	return http.MethodPatch + ", " + http.MethodDelete
}

// noRoute answers what nothing else does: 405 for another method of a URL of WHIP or WHEP, which RFC 9725
// wants for later versions' sake, else 404.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	for _, endpoint := range []string{whipPath, whepPath} {
		resource, is := strings.CutPrefix(r.URL.Path, endpoint)
		if is && (resource == "" || strings.LastIndex(resource, "/") == 0) {
			w.Header().Set("Allow", whipMethods(r)+", "+http.MethodOptions)
			writeProblem(w, problem(http.StatusMethodNotAllowed, wire.CodeBadRequest, "the Allow header has the methods of this URL"))
			return
		}
	}
	writeProblem(w, refusal(wire.CodeNotFound, "no such route"))
}

// whipHeaders sets what every answer has, and lets the pages of configured portals in (Fetch standard,
// CORS), as for /v1/join.
func (s *Server) whipHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Origin")
	origin := strings.Join(r.Header["Origin"], ", ")
	if !slices.Contains(s.cfg.Origins, origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", whipMethods(r))
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Max-Age", "600")
		return
	}
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After")
}

// post is POST: it opens a session that publishes or watches.
func (s *Server) post(by whip.Protocol) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		token, offer, err := s.readOffer(by, w, r)
		var opened *resource
		var answer string
		if err == nil {
			opened, answer, err = s.openResource(r.Context(), by, r.RemoteAddr, token, offer)
		}
		s.metrics.joins.WithLabelValues(outcomeOf(err)).Inc()
		if err != nil {
			s.deps.Log.Info("device refused", "endpoint", endpointOf(by), "outcome", outcomeOf(err))
			return err
		}
		h := w.Header()
		h.Set("Content-Type", sdpType)
		h.Set("Location", opened.location())
		h.Set("ETag", opened.etag())
		linkICEServers(h, opened.session.iceServers())
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, answer)
		return nil
	}
}

// readOffer refuses what would be refused with a token, too, before the token is used up.
func (s *Server) readOffer(by whip.Protocol, w http.ResponseWriter, r *http.Request) (token string, offer whip.Offer, err error) {
	token, err = tokenOf(r)
	if err == nil && !s.originAllowed(r) {
		err = refusal(wire.CodeForbidden, "pages of this origin may not open sessions")
	}
	if err != nil {
		s.refused(audit.AccessDenied, &audit.Event{Net: prefixOf(r.RemoteAddr)}, err)
		return "", whip.Offer{}, err
	}
	if !accepts(r.Header.Values("Accept"), sdpType) {
		return "", whip.Offer{}, problem(http.StatusNotAcceptable, wire.CodeBadRequest, "the answer is "+sdpType)
	}
	w.Header().Set("Accept-Post", sdpType) // of a refused one (RFC 9110 section 15.5.16); no harm otherwise
	text, err := readBody(w, r, sdpType, whip.MaxOfferBytes)
	if err != nil {
		return "", whip.Offer{}, err
	}
	offer, err = whip.ReadOffer(by, text)
	switch {
	case errors.Is(err, whip.ErrUnsupported):
		return "", whip.Offer{}, problem(http.StatusUnprocessableEntity, wire.CodeBadSDP, err.Error())
	case err != nil:
		return "", whip.Offer{}, refusal(wire.CodeBadSDP, err.Error())
	}
	return token, offer, nil
}

// hangUp is DELETE: the participant leaves.
func (s *Server) hangUp(w http.ResponseWriter, r *http.Request) error {
	res, err := s.resourceOf(r)
	if err != nil {
		return err
	}
	res.leave(r.Context())
	w.WriteHeader(http.StatusOK)
	return nil
}

// patch is PATCH: candidates, which are not needed, or an ICE restart.
func (s *Server) patch(w http.ResponseWriter, r *http.Request) error {
	res, err := s.resourceOf(r)
	if err != nil {
		return err
	}
	w.Header().Set("Accept-Patch", fragmentType)
	text, err := readBody(w, r, fragmentType, whip.MaxFragmentBytes)
	if err != nil {
		return err
	}
	if err := res.take(r.Context()); err != nil {
		return err
	}
	defer res.give()
	if !res.session.pace.take(s.deps.Clock(), s.cfg.Limits) {
		return refusal(wire.CodeRateLimited, "too many requests: slow down")
	}
	if err := checkMatch(r.Header.Values("If-Match"), res.etag()); err != nil {
		return err
	}
	wanted, err := whip.ReadFragment(text)
	if err != nil {
		return refusal(wire.CodeBadSDP, err.Error())
	}
	if !res.offer.Restarts(wanted) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	mine, err := res.restart(r.Context(), wanted)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", fragmentType)
	w.Header().Set("ETag", res.etag())
	_, _ = io.WriteString(w, mine.Fragment())
	return nil
}

// resourceOf returns the resource of a request that has its token.
func (s *Server) resourceOf(r *http.Request) (*resource, error) {
	token, err := tokenOf(r)
	if err != nil {
		return nil, err
	}
	res := s.resources.find(r.PathValue("session"))
	if res == nil || res.location() != r.URL.Path {
		return nil, refusal(wire.CodeNotFound, "there is no such session, or it is over")
	}
	if !res.opens(token) {
		err := refusal(wire.CodeTokenInvalid, "the token is not the one that opened this session")
		s.refused(audit.TokenRefused, &audit.Event{Net: prefixOf(r.RemoteAddr)}, err)
		return nil, err
	}
	return res, nil
}

// tokenOf returns the token of a request (RFC 6750 section 2.1).
func tokenOf(r *http.Request) (string, error) {
	if r.URL.RawQuery != "" {
		return "", refusal(wire.CodeTokenInURL, "this URL takes no parameters: the token goes into the Authorization header")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", refusal(wire.CodeUnauthorized, "Authorization: Bearer <token of POST /v1/join> is missing")
	}
	return token, nil
}

// checkMatch wants an If-Match that names the current ICE session, or any (RFC 9725 section 4.3).
func checkMatch(values []string, etag string) error {
	if len(values) == 0 {
		return problem(http.StatusPreconditionRequired, wire.CodeBadRequest, "If-Match is missing")
	}
	for tag := range strings.SplitSeq(strings.Join(values, ","), ",") {
		// RFC 9725 writes both * and "*".
		if tag = strings.TrimSpace(tag); tag == etag || tag == "*" || tag == `"*"` {
			return nil
		}
	}
	return problem(http.StatusPreconditionFailed, wire.CodeBadRequest, "ICE has been restarted meanwhile: this is about an earlier session")
}

// readBody reads a body of one type and of limited size.
func readBody(w http.ResponseWriter, r *http.Request, want string, limit int64) (string, error) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		return "", problem(http.StatusUnsupportedMediaType, wire.CodeBadRequest, "the body must be "+want)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return "", refusal(wire.CodeMessageTooLarge, fmt.Sprintf("a body may have %d bytes", limit))
	}
	if err != nil {
		return "", refusal(wire.CodeBadRequest, "the body cannot be read")
	}
	return string(body), nil
}

// accepts reports whether an Accept header allows a type; quality is not weighed, as there is no choice.
func accepts(values []string, want string) bool {
	if len(values) == 0 {
		return true
	}
	class, _, _ := strings.Cut(want, "/")
	for value := range strings.SplitSeq(strings.Join(values, ","), ",") {
		got, _, _ := strings.Cut(value, ";")
		switch strings.ToLower(strings.TrimSpace(got)) {
		case want, class + "/*", "*/*":
			return true
		}
	}
	return false
}
