// Package web serves what people see: the room page behind a join link, the camera and microphone
// check, and the SDK (bedside.js and the <bedside-consultation> element) that both are made of.
//
// Everything is embedded, nothing is built, and no page asks any other server for anything. The
// files under assets/sdk are served at /sdk/v1/ as they are but for their comment lines.
package web

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assets embed.FS

// SDKPath is where the SDK is served; the version in it changes only with an incompatible API.
const SDKPath = "/sdk/v1/"

// ErrOrigin tells that an option that must be an origin, like https://portal.example, is not one.
var ErrOrigin = errors.New("not an origin")

// Options say who else is involved. The zero value is right for a server of its own.
type Options struct {
	// FrameAncestors are the origins whose pages may show ours in a frame; none by default.
	FrameAncestors []string
	// ConnectOrigins are origins, beside the page's own, that pages may talk to: https:// and
	// wss:// of other servers of the same service.
	ConnectOrigins []string
}

// Site serves the pages and the SDK. It is immutable and safe for concurrent use.
type Site struct {
	sdk     map[string]*asset // by path below SDKPath
	room    *asset            // /j/
	link    *asset            // /c/{id}
	precall *asset            // /precall
	headers map[string]string // of pages
}

// New loads and compresses everything once. It fails on an option that is no origin (ErrOrigin).
func New(o Options) (*Site, error) {
	csp, err := contentSecurityPolicy(o)
	if err != nil {
		return nil, err
	}
	s := &Site{sdk: make(map[string]*asset), headers: pageHeaders(csp, len(o.FrameAncestors) > 0)}
	sources, err := readSDK()
	if err != nil {
		return nil, err
	}
	for name, text := range sources {
		if s.sdk[name], err = newAsset(name, lean(name, text)); err != nil {
			return nil, err
		}
	}
	if s.room, err = newPage("room.html", sources, "ui/page.js"); err != nil {
		return nil, err
	}
	if s.precall, err = newPage("precall.html", sources, "ui/precall.js"); err != nil {
		return nil, err
	}
	s.link, err = newPage("link.html", sources, "")
	return s, err
}

// Register adds the routes to mux: GET /j/, GET /c/{id}, GET /precall and everything below SDKPath.
func (s *Site) Register(mux *http.ServeMux) {
	// Exactly /j/: the invitation is a fragment and never part of a path. A link that was mangled
	// into one must not get a page that would then be cached and logged with a secret in its URL.
	mux.HandleFunc("GET /j/{$}", s.page(s.room))
	mux.HandleFunc("GET /c/{id}", s.page(s.link))
	mux.HandleFunc("GET /precall", s.page(s.precall))
	mux.HandleFunc("GET "+SDKPath+"{file...}", s.serveSDK)
}

func (s *Site) page(a *asset) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for name, value := range s.headers {
			w.Header().Set(name, value)
		}
		a.serve(w, r)
	}
}

func (s *Site) serveSDK(w http.ResponseWriter, r *http.Request) {
	a, ok := s.sdk[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	// Vendors load the module from their own pages, and modules are always fetched with CORS.
	// Nothing here is secret, and no cookie exists that could go along.
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	a.serve(w, r)
}

// pageHeaders are the same for every page. A link is a secret, hence no referrer; everything a
// page may do is listed, hence the policies.
func pageHeaders(csp string, framed bool) map[string]string {
	h := map[string]string{
		"Content-Security-Policy": csp,
		"Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self), autoplay=(self), " +
			"screen-wake-lock=(self), fullscreen=(self), geolocation=(), payment=(), usb=(), " +
			"serial=(), hid=(), midi=(), accelerometer=(), gyroscope=(), magnetometer=()",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	if !framed {
		h["X-Frame-Options"] = "DENY" // for browsers that do not know frame-ancestors
	}
	return h
}

// contentSecurityPolicy allows what the pages use and nothing else. 'self' covers WebSockets to the
// page's own origin (CSP level 3, section 6.7.2.8). The pages build their DOM without any HTML
// string, which Trusted Types enforce.
func contentSecurityPolicy(o Options) (string, error) {
	ancestors := "'none'"
	if len(o.FrameAncestors) > 0 {
		ancestors = strings.Join(o.FrameAncestors, " ")
	}
	for _, origin := range append(append([]string(nil), o.FrameAncestors...), o.ConnectOrigins...) {
		if err := checkOrigin(origin); err != nil {
			return "", err
		}
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		strings.Join(append([]string{"connect-src 'self'"}, o.ConnectOrigins...), " "),
		"img-src 'self' data:",
		"media-src blob: mediastream:",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors " + ancestors,
		"require-trusted-types-for 'script'",
		"trusted-types bedside", // voice.js: the URL of its worker, whatever it is given
	}, "; "), nil
}

// checkOrigin refuses what would end the directive it is put into.
func checkOrigin(origin string) error {
	scheme, host, found := strings.Cut(origin, "://")
	ok := found && (scheme == "https" || scheme == "wss" || scheme == "http" || scheme == "ws")
	if !ok || host == "" || strings.ContainsAny(host, " \t\r\n;,'\"/?#") {
		return fmt.Errorf("web: %q: %w, like https://portal.example", origin, ErrOrigin)
	}
	return nil
}

// readSDK returns the files below assets/sdk by their path there.
func readSDK() (map[string][]byte, error) {
	const root = "assets/sdk"
	out := make(map[string][]byte)
	err := fs.WalkDir(assets, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := assets.ReadFile(name)
		out[strings.TrimPrefix(name, root+"/")] = text
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("web: embedded files: %w", err)
	}
	return out, nil
}

// newPage loads one page and names in it the modules that its entry will import, so that the
// browser fetches them at once instead of one level of imports after the other.
func newPage(name string, sources map[string][]byte, entry string) (*asset, error) {
	text, err := assets.ReadFile(path.Join("assets/pages", name))
	if err != nil {
		return nil, fmt.Errorf("web: %s: %w", name, err)
	}
	var links strings.Builder
	if entry != "" {
		for _, module := range imports(sources, entry) {
			fmt.Fprintf(&links, "<link rel=\"modulepreload\" href=\"%s%s\">\n", SDKPath, module)
		}
	}
	page := strings.Replace(string(text), "{{preload}}\n", links.String(), 1)
	return newAsset(name, []byte(page))
}
