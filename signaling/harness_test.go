package signaling_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	apiKey      = "key-of-tenant-one"
	otherAPIKey = "key-of-tenant-two"
	publicURL   = "http://bedside.test"
)

// world is a server and everything around it, in one bubble of virtual time.
type world struct {
	*testing.T
	server   *signaling.Server
	http     *http.Server
	listener *pipeListener
	client   *http.Client
	media    *fakeMedia
	store    store.Store
	audit    *audit.Memory
	log      *safeBuffer
	registry *prometheus.Registry
	recorder *fakeRecorder
	shelf    *fakeShelf
	running  sync.WaitGroup
	clients  []*client
	cfg      config.Signaling
	deps     signaling.Deps
}

// inWorld runs a test in a bubble with a server, and closes everything afterwards: the bubble
// panics if a goroutine is left.
func inWorld(t *testing.T, change func(*config.Signaling, *signaling.Deps), test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change)
		defer w.close()
		test(w)
	})
}

func newWorld(t *testing.T, change func(*config.Signaling, *signaling.Deps)) *world {
	t.Helper()
	w := &world{T: t, listener: newPipeListener(), media: newFakeMedia(), log: new(safeBuffer),
		registry: prometheus.NewRegistry(), store: store.NewMap(10_000), audit: audit.NewMemory("node-1", 10_000),
		recorder: new(fakeRecorder), shelf: newFakeShelf()}
	cfg := config.Default().Signaling
	for _, k := range []struct{ id, key, tenant string }{{"one", apiKey, "tenant-1"}, {"two", otherAPIKey, "tenant-2"}} {
		cfg.APIKeys = append(cfg.APIKeys, config.APIKey{ID: k.id, Tenant: k.tenant, Hash: sha256Hex(k.key), Scopes: []string{"consultations", "recordings", "audit"}})
	}
	deps := signaling.Deps{
		Media: w.media, Store: w.store, Audit: w.audit, PublicURL: publicURL, Clock: time.Now, Rand: rand.Reader,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Metrics: w.registry,
		Recorder: w.recorder, Recordings: w.shelf, Notice: notice,
	}
	if change != nil {
		change(&cfg, &deps)
	}
	w.cfg, w.deps = cfg, deps
	w.start()
	return w
}

// start starts the server.
func (w *world) start() {
	w.Helper()
	var err error
	if w.server, err = signaling.New(w.cfg, w.deps); err != nil {
		w.Fatal(err)
	}
	w.http = &http.Server{Handler: w.server.Handler(), ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.NewTextHandler(w.log, nil), slog.LevelWarn)}
	w.client = &http.Client{Transport: &http.Transport{DialContext: w.listener.dial}}
	server, listener := w.http, w.listener
	runHTTP := func() { _ = server.Serve(listener) }
	w.running.Go(runHTTP)
}

func (w *world) close() {
	w.Helper()
	for _, c := range w.clients {
		c.drop()
	}
	if err := w.server.Close(); err != nil {
		w.Error(err)
	}
	w.client.CloseIdleConnections()
	_ = w.http.Close()
	w.running.Wait()
	if left := w.media.open(); left != 0 {
		w.Errorf("%d media rooms or peers are still open", left)
	}
}

// restart is a server that stops in order, tells everybody and starts again with what it kept.
func (w *world) restart() {
	w.Helper()
	w.close()
	w.again(w.store)
}

// crash is a server that is gone from one instant to the next: it starts again with what was kept at
// that instant.
func (w *world) crash() {
	w.Helper()
	w.settle()
	kept := store.NewMap(10_000)
	for _, b := range []store.Bucket{"consultations", "seats", "reports"} {
		if err := w.store.Each(w.Context(), b, func(e store.Entry) error {
			_, err := kept.Create(w.Context(), b, e.Key, e.Value)
			return err
		}); err != nil {
			w.Fatal(err)
		}
	}
	w.close()
	w.again(kept)
}

func (w *world) again(kept store.Store) {
	w.store, w.listener, w.media, w.registry = kept, newPipeListener(), newFakeMedia(), prometheus.NewRegistry()
	w.deps.Store, w.deps.Media, w.deps.Metrics = w.store, w.media, w.registry
	w.start()
}

// settle waits until nothing more happens at this instant.
func (w *world) settle() { synctest.Wait() }

// advance lets virtual time pass.
func (w *world) advance(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// call sends a request; body is JSON text, into takes the answer unless nil. It returns the status
// and, for problems, the code.
func (w *world) call(method, path, key, body string, into any) (status int, code string) {
	w.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, publicURL+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	if resp.StatusCode >= 400 {
		var p signaling.Problem
		if err := json.Unmarshal(data, &p); err != nil || p.Status != resp.StatusCode || resp.Header.Get("Content-Type") != "application/problem+json" {
			w.Errorf("%s %s: status %d is not a problem document: %s", method, path, resp.StatusCode, data)
		}
		if into != nil {
			_ = json.Unmarshal(data, into)
		}
		return resp.StatusCode, p.Code
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			w.Fatalf("%s %s: %v: %s", method, path, err, data)
		}
	}
	return resp.StatusCode, ""
}

// visit is a consultation with the invitation of everybody.
type visit struct {
	*world
	signaling.Consultation
	invitations []string
}

const threePeople = `"participants":[{"role":"clinician","display":"Dr A","ref":"r1"},{"role":"patient","display":"B","ref":"r2"},{"role":"interpreter","ref":"r3"}]`

// open creates a consultation; fields are JSON members without braces.
func (w *world) open(fields string) *visit {
	w.Helper()
	v := &visit{world: w}
	if status, code := w.call("POST", "/v1/consultations", apiKey, "{"+fields+"}", &v.Consultation); status != 201 {
		w.Fatalf("create: %d %s", status, code)
	}
	for _, p := range v.Participants {
		v.invitations = append(v.invitations, strings.TrimPrefix(p.JoinURL, publicURL+"/j/#"))
	}
	return v
}

// token exchanges the invitation of the i-th participant.
func (v *visit) token(i int) string {
	v.Helper()
	var j signaling.Joining
	if status, code := v.call("POST", "/v1/join", "", `{"invitation":"`+v.invitations[i]+`"}`, &j); status != 200 {
		v.Fatalf("join: %d %s", status, code)
	}
	return j.Token
}

// enter opens a session for the i-th participant and expects to get in.
func (v *visit) enter(i int) *client {
	v.Helper()
	c := v.dial()
	c.send(&wire.Join{Token: v.token(i), Client: "test"}, 1)
	v.settle()
	if c.last("joined") == nil {
		v.Fatalf("participant %d did not join: %v", i, c.types())
	}
	return c
}

// three lets clinician, patient and interpreter in and admits them.
func (v *visit) three() (doctor, patient, interpreter *client) {
	v.Helper()
	doctor, patient, interpreter = v.enter(0), v.enter(1), v.enter(2)
	doctor.send(&wire.Admit{Participant: v.Participants[1].ID}, 2)
	doctor.send(&wire.Admit{Participant: v.Participants[2].ID}, 3)
	v.settle()
	return doctor, patient, interpreter
}

// client is one WebSocket that keeps every message.
type client struct {
	*world
	ws      *websocket.Conn
	running sync.WaitGroup

	mu       sync.Mutex
	messages []received
	err      error
}

type received struct {
	wire.Header
	raw string
	m   wire.ServerMessage
	at  time.Time
}

// dial opens a WebSocket without joining.
func (w *world) dial() *client {
	w.Helper()
	c, resp, err := w.tryDial("/v1/connect", nil)
	if err != nil {
		w.Fatalf("dial: %v, %v", err, resp)
	}
	return c
}

func (w *world) tryDial(path string, header http.Header) (*client, *http.Response, error) {
	d := websocket.Dialer{NetDialContext: w.listener.dial, Subprotocols: []string{wire.Subprotocol}}
	if header.Get("Sec-WebSocket-Protocol") != "" {
		d.Subprotocols = nil
	}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(publicURL, "http")+path, header)
	if err != nil {
		return nil, resp, err
	}
	c := &client{world: w, ws: ws}
	w.clients = append(w.clients, c)
	c.running.Go(c.runReader)
	return c, resp, nil
}

func (c *client) runReader() {
	for {
		_, data, err := c.ws.ReadMessage()
		c.mu.Lock()
		if err != nil {
			c.err = err
			c.mu.Unlock()
			_ = c.ws.Close()
			return
		}
		m, h, err := wire.DecodeServer(data)
		if err != nil || m == nil {
			c.Errorf("the server sent %q: %v", data, err)
		}
		c.messages = append(c.messages, received{h, string(data), m, time.Now()})
		c.mu.Unlock()
	}
}

// drop closes the connection without a word, as a tab that is killed.
func (c *client) drop() {
	_ = c.ws.NetConn().Close()
	c.running.Wait()
}

func (c *client) send(m wire.ClientMessage, id uint64) {
	c.Helper()
	data, err := wire.EncodeClient(m, id)
	if err != nil {
		c.Fatal(err)
	}
	c.sendRaw(websocket.TextMessage, data)
}

func (c *client) sendRaw(kind int, data []byte) {
	c.Helper()
	if err := c.ws.WriteMessage(kind, data); err != nil {
		c.Fatalf("send: %v", err)
	}
}

// all returns what has come, everything that is on the way included.
func (c *client) all() []received {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.messages)
}

// last returns the last message of a type, or nil.
func (c *client) last(typ string) wire.ServerMessage {
	for _, r := range slices.Backward(c.all()) {
		if r.Type == typ {
			return r.m
		}
	}
	return nil
}

func (c *client) types() []string {
	var list []string
	for _, r := range c.all() {
		list = append(list, r.Type)
	}
	return list
}

// reply returns the message that answers id, as its type, with the code of errors.
func (c *client) reply(id uint64) string {
	for _, r := range c.all() {
		if r.Re == id {
			if e, ok := r.m.(*wire.Error); ok {
				return e.Code
			}
			return r.Type
		}
	}
	return ""
}

// ended returns the reason of the last message or the code of the error before the close, and the
// close code; "" and 0 while the session is open.
func (c *client) ended() (reason string, closeCode int) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return "", 0
	}
	if e, ok := c.err.(*websocket.CloseError); ok { //nolint:errorlint // gorilla returns it bare
		closeCode = e.Code
	}
	if len(c.messages) == 0 {
		return "", closeCode
	}
	switch m := c.messages[len(c.messages)-1].m.(type) {
	case *wire.Ended:
		return m.Reason, closeCode
	case *wire.Error:
		return m.Code, closeCode
	}
	return "", closeCode
}

func (c *client) wantEnded(reason string, code int) {
	c.Helper()
	if gotReason, gotCode := c.ended(); gotReason != reason || gotCode != code {
		c.Errorf("ended %q with close code %d, want %q with %d; got %v", gotReason, gotCode, reason, code, c.types())
	}
}

// wantAlive checks that a session still does what it is asked.
func (c *client) wantAlive() {
	c.Helper()
	const id = 1 << 40
	c.send(&wire.Say{Kind: "chat", Body: "still here?"}, id)
	c.settle()
	if got := c.reply(id); got != "done" {
		c.Errorf("the other session got %q for an answer, want done; it ended: %v", got, c.err)
	}
}

// see returns the last roster as "role:state", with ~ for those whose connection is being restored.
func (c *client) see() string {
	var people []wire.Participant
	for _, r := range c.all() {
		switch m := r.m.(type) {
		case *wire.Joined:
			people = m.Roster
		case *wire.Roster:
			people = m.Participants
		}
	}
	var lines []string
	for _, p := range people {
		mark := ""
		if !p.Connected {
			mark = "~"
		}
		lines = append(lines, string(p.Role)+mark+":"+string(p.State))
	}
	return strings.Join(lines, " ")
}

func (c *client) wantSee(want string) {
	c.Helper()
	if got := c.see(); got != want {
		c.Errorf("sees %q, want %q", got, want)
	}
}

// metricsText is what /metrics would show.
func (w *world) metricsText() string {
	families, err := w.registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			w.Fatal(err)
		}
	}
	return b.String()
}
