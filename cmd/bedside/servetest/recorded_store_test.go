package servetest_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// gateway is an S3 server of others, which make soak builds.
const gateway = "../../../.tools/versitygw"

// resumedWithin is within which everything is uploaded when the store is well again.
const resumedWithin = time.Minute

// TestRecordingStoreFailsBesideACall has the store of finished recordings fail in every way while people talk and
// are recorded: they miss nothing and are told nothing, for it is no matter of theirs, and soon after it is well
// everything is there.
func TestRecordingStoreFailsBesideACall(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("takes a minute: make soak")
	}
	store := newFaultyStore(t)
	dir := t.TempDir()
	c := newCall(t, dir, fmt.Sprintf(", bucket: {endpoint: %q, name: recordings, region: us-east-1, access_key: user, secret_key: secretsecret, insecure: true}", store.addr))
	c.mark()
	begun := time.Now()
	for _, fault := range []string{"down", "500", "slow", "changed on the way"} {
		store.fault.Store(fault)
		before := store.calls.Load()
		pass(2 * time.Second)
		c.stop(t)
		c.record(t)
		pass(time.Second)
		store.untilAsked(t, before)
	}
	c.checkUnhurt(t, "a store that fails", time.Since(begun))
	if told := c.heardOf(t, begun, "storage"); told > 0 {
		t.Errorf("people were told %d times", told)
	}
	m := c.stop(t)
	store.fault.Store("")
	well := time.Now()
	end := time.After(2 * resumedWithin)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		stored, err := filepath.Glob(filepath.Join(dir, "*", "*.stored"))
		if err != nil {
			t.Fatal(err)
		}
		if len(stored) == 5 {
			break
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%d of 5 recordings are uploaded\n%s", len(stored), c.process.log.tail())
		}
	}
	late := time.Since(well)
	t.Logf("figure: a store that failed for %v in four ways: 5 recordings uploaded %v after it was well", well.Sub(begun).Round(time.Second), late)
	if late > resumedWithin {
		t.Errorf("uploaded after %v", late)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*", "*.mkv.age")); err != nil || len(left) > 0 {
		t.Errorf("still here: %q, %v", left, err)
	}
	for _, p := range m.Parts {
		name := fmt.Sprintf("%s.p%03d.mkv.age", m.ID, p.N)
		if s, err := os.Stat(filepath.Join(store.dir, "recordings", "media", m.ID, name)); err != nil || s.Size() != p.Size {
			t.Errorf("%s at the store: %v", name, err)
		}
	}
}

// heardOf counts how often anybody was told of a reason since an instant.
func (c *call) heardOf(t *testing.T, since time.Time, reason string) (n int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.people {
		for _, h := range g.heard {
			if h.at.After(since) && h.Reason == reason {
				n++
			}
		}
	}
	return n
}

// faultyStore is the gateway behind a proxy that does what is wrong with it.
type faultyStore struct {
	addr, dir string
	proxy     *httputil.ReverseProxy
	fault     atomic.Value // string: what is wrong; "" is nothing
	calls     atomic.Int32
}

func newFaultyStore(t *testing.T) *faultyStore {
	t.Helper()
	if _, err := os.Stat(gateway); err != nil {
		t.Skip("SKIPPED for want of .tools/versitygw, which make soak builds: no S3 server to talk to")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behind := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &faultyStore{dir: t.TempDir()}
	s.fault.Store("")
	if err := os.Mkdir(filepath.Join(s.dir, "recordings"), 0o700); err != nil {
		t.Fatal(err)
	}
	g := exec.Command(gateway, "--port", behind, "--quiet", "posix", s.dir)
	g.Env = append(os.Environ(), "ROOT_ACCESS_KEY=user", "ROOT_SECRET_KEY=secretsecret")
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Process.Kill(); _ = g.Wait() })
	to := &url.URL{Scheme: "http", Host: behind}
	s.proxy = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	front := httptest.NewServer(s)
	t.Cleanup(front.Close)
	s.addr = front.Listener.Addr().String()
	return s
}

// untilAsked waits until the store has been asked again; the server's pauses become longer.
func (s *faultyStore) untilAsked(t *testing.T, before int32) {
	t.Helper()
	end := time.After(resumedWithin)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for s.calls.Load() == before {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%v: nothing was asked of the store", s.fault.Load())
		}
	}
}

// ServeHTTP implements http.Handler.
func (s *faultyStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	switch s.fault.Load() {
	case "down":
		panic(http.ErrAbortHandler) // the connection ends without an answer
	case "500":
		http.Error(w, "", http.StatusInternalServerError)
		return
	case "slow":
		select {
		case <-time.After(3 * time.Second):
		case <-r.Context().Done():
			return
		}
	case "changed on the way":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Method == http.MethodPut && len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	s.proxy.ServeHTTP(w, r)
}
