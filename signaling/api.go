package signaling

import (
	"context"
	"crypto/subtle"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	// apiVersion is that of the API's description; routes carry their own (/v1/).
	apiVersion = "1.0.0"
	// maxBodyBytes is far above the largest consultation: 50 participants of 400 bytes.
	maxBodyBytes = 64 << 10
	securityName = "apiKey"
)

// newHandler returns the handler of every route.
func newHandler(s *Server) (http.Handler, error) {
	mux := http.NewServeMux()
	api := humago.New(mux, apiConfig())
	api.UseMiddleware(noStore)
	s.registerConsultations(api)
	s.registerJoin(api)
	s.registerTrail(api)
	if s.deps.Recordings != nil {
		s.registerRecordings(mux)
		describeRecordings(api.OpenAPI())
	}
	describeConnect(api.OpenAPI())
	describeWHIP(api.OpenAPI())
	describeChecks(api.OpenAPI())
	// huma describes its own errors, which asProblem never lets out.
	maps.DeleteFunc(api.OpenAPI().Components.Schemas.Map(), func(name string, _ *huma.Schema) bool {
		return name == "ErrorModel" || name == "ErrorDetail"
	})
	description, err := api.OpenAPI().YAML()
	if err != nil {
		return nil, fmt.Errorf("signaling: openapi.yaml: %w", err)
	}
	mux.HandleFunc("GET /v1/connect", s.connect)
	s.registerWHIP(mux)
	s.registerChecks(mux)
	mux.HandleFunc("OPTIONS /v1/join", s.preflight)
	mux.HandleFunc("OPTIONS /v1/", s.preflightKey)
	mux.HandleFunc("GET /openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml") // RFC 9512
		_, _ = w.Write(description)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("/v1/", s.noRoute)
	if s.deps.Routes != nil {
		s.deps.Routes(mux)
	}
	return mux, nil
}

// apiConfig is huma's configuration without its documentation page, which loads a script from
// another site, and without the links to schemas that it adds to every answer.
func apiConfig() huma.Config {
	c := huma.DefaultConfig("Bedside", apiVersion)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.Transformers = []huma.Transformer{asProblem}
	c.RejectUnknownQueryParameters = true
	c.Info.Description = "Opens consultations and hands out links. Errors are RFC 9457 problem documents with a stable `code`."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		securityName: {Type: "http", Scheme: "bearer", Description: "An API key. What belongs to another tenant does not exist for it."},
	}
	return c
}

// noStore keeps links and tokens out of caches.
func noStore(ctx huma.Context, next func(huma.Context)) {
	ctx.SetHeader("Cache-Control", "no-store")
	ctx.SetHeader("X-Content-Type-Options", "nosniff")
	next(ctx)
}

// operation returns the description of a route. Every route answers errors with a Problem.
func operation(api huma.API, o huma.Operation) huma.Operation {
	o.MaxBodyBytes = maxBodyBytes
	if o.Responses == nil {
		o.Responses = make(map[string]*huma.Response)
	}
	o.Responses["default"] = &huma.Response{
		Description: "What went wrong, as RFC 9457 says it",
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: huma.SchemaFromType(api.OpenAPI().Components.Schemas, problemType())},
		},
	}
	return o
}

// scoped returns the operation for API keys that have the scope.
func (s *Server) scoped(api huma.API, scope string, o huma.Operation) huma.Operation {
	o.Security = []map[string][]string{{securityName: {}}}
	o.Middlewares = append(o.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		defer func() { s.metrics.api.WithLabelValues(o.OperationID, strconv.Itoa(ctx.Status())).Inc() }()
		key, err := s.authenticate(ctx.Header("Authorization"), originOf(ctx), scope)
		if err != nil {
			refuse(api, ctx, err)
			event := ofKey(key)
			event.Net = prefixOf(ctx.RemoteAddr())
			s.refused(audit.AccessDenied, &event, err)
			return
		}
		allowKeyOrigin(ctx)
		next(huma.WithValue(ctx, keyContext{}, *key))
	})
	return operation(api, o)
}

type keyContext struct{}

// tenantOf returns the tenant of the request's API key.
func tenantOf(ctx context.Context) string { return keyOf(ctx).Tenant }

func keyOf(ctx context.Context) config.APIKey {
	key, ok := ctx.Value(keyContext{}).(config.APIKey)
	if !ok {
		panic("signaling: internal error: a route without its API key")
	}
	return key
}

// authenticate returns the API key of an Authorization header; with an error, the one that may not do
// this, if it is one of ours. Keys are 256 random bits, which nobody guesses at any speed: a slow
// hash, made for passwords, would only slow down the server.
func (s *Server) authenticate(authorization, origin, scope string) (*config.APIKey, error) {
	secret, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return nil, refusal(wire.CodeUnauthorized, "Authorization: Bearer <API key> is missing")
	}
	hash := []byte(hashOf(secret))
	var found *config.APIKey
	for i := range s.cfg.APIKeys {
		if subtle.ConstantTimeCompare(hash, []byte(strings.ToLower(s.cfg.APIKeys[i].Hash))) == 1 {
			found = &s.cfg.APIKeys[i]
		}
	}
	switch {
	case found == nil:
		return nil, refusal(wire.CodeUnauthorized, "the API key is not one of this server's")
	case origin != "" && !slices.Contains(found.Origins, origin):
		return found, refusal(wire.CodeForbidden, "pages of this origin may not use the API key")
	case !slices.Contains(found.Scopes, scope):
		return found, refusal(wire.CodeForbidden, "the API key does not have the scope "+scope)
	}
	return found, nil
}

// originOf returns the request's origin. Browsers send one; several together are no origin at all.
func originOf(ctx huma.Context) string {
	var origins []string
	ctx.EachHeader(func(name, value string) {
		if name == "Origin" {
			origins = append(origins, value)
		}
	})
	return strings.Join(origins, ", ")
}

// refuse answers in a middleware.
func refuse(api huma.API, ctx huma.Context, err error) {
	p := problemOf(err)
	for name, values := range p.GetHeaders() {
		ctx.SetHeader(name, values[0])
	}
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	_ = api.Marshal(ctx.BodyWriter(), "application/json", p)
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.sessions.draining() {
		writeText(w, http.StatusServiceUnavailable, "draining")
		return
	}
	if s.deps.Ready != nil {
		if err := s.deps.Ready(); err != nil {
			writeText(w, http.StatusServiceUnavailable, err.Error())
			return
		}
	}
	writeText(w, http.StatusOK, "ready")
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// describeConnect adds the WebSocket, which huma does not serve, to the description.
func describeConnect(o *huma.OpenAPI) {
	o.AddOperation(&huma.Operation{
		OperationID: "connect", Method: http.MethodGet, Path: "/v1/connect", Tags: []string{"sessions"},
		Summary:     "Open a session",
		Description: "A WebSocket with the subprotocol `" + wire.Subprotocol + "`. The token goes into the first message, never into the URL.",
		Responses:   map[string]*huma.Response{"101": {Description: "Switching protocols"}},
	})
}
