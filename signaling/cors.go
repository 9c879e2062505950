package signaling

import (
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bedside-video/bedside/config"
)

// preflightKey answers a browser that asks whether a page of another origin may use the API. Which
// key the page has is not said yet: the origin has to be one of any key's. The request that follows
// is held to its own key's by authenticate.
func (s *Server) preflightKey(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Vary", "Origin")
	origin := strings.Join(r.Header["Origin"], ", ")
	if slices.ContainsFunc(s.cfg.APIKeys, func(k config.APIKey) bool { return slices.Contains(k.Origins, origin) }) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Range")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

// allowKeyOrigin lets a page read the answer that authenticate has let it ask for.
func allowKeyOrigin(ctx huma.Context) {
	if origin := originOf(ctx); origin != "" {
		ctx.SetHeader("Access-Control-Allow-Origin", origin)
	}
	ctx.SetHeader("Vary", "Origin")
}
