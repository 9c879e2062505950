package signaling_test

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/store"
)

// TestIdleSessions is what a session costs whose owner waits in the lobby: at most 40 kB, this test's
// half of the connection and the consultation's records included. 500 of them here, 9,500 with SOAK=1.
func TestIdleSessions(t *testing.T) {
	const each = 10
	n, most := 500, 40_000
	if raced {
		most = 60_000
	}
	if os.Getenv("SOAK") != "" {
		n = 9_500 // two descriptors each, of 20,000
	}
	cfg := config.Default().Signaling
	cfg.APIKeys = []config.APIKey{{ID: "one", Tenant: "t", Hash: sha256Hex(apiKey), Scopes: []string{"consultations"}}}
	cfg.Limits = config.Limits{Consultations: n, Participants: 20, Sessions: 2 * n, SessionsPerIP: 2 * n, JoinsPerSecond: 1 << 20, MessagesPerSec: 20, MessagesInBurst: 60}
	server, err := signaling.New(cfg, signaling.Deps{
		Media: newFakeMedia(), Store: store.NewMap(4 * n), Audit: audit.NewMemory("node-1", 100), PublicURL: publicURL, Clock: time.Now,
		Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(server.Handler())
	defer front.Close()
	defer func() { _ = server.Close() }()
	in := &idlers{T: t, address: front.Listener.Addr().String(), client: front.Client()}
	defer in.close()
	in.join(in.invite(each)[0]) // what is made once
	var bodies [][]string
	for range n / each {
		bodies = append(bodies, in.invite(each))
	}
	before := used()
	began := time.Now()
	for _, invitations := range bodies {
		for _, invitation := range invitations {
			in.join(invitation)
		}
	}
	took := time.Since(began)
	heap, stacks := used().since(before)
	if per := (heap + stacks) / n; per > most {
		t.Errorf("%d bytes for each of %d sessions, want at most %d", per, n, most)
	}
	t.Logf("figure: %d idle sessions cost %d bytes each (%d heap, %d stacks); %v to join them all", n, (heap+stacks)/n, heap/n, stacks/n, took.Round(time.Millisecond))
}

type memory struct{ heap, stacks uint64 }

func used() memory {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{m.HeapAlloc, m.StackInuse}
}

func (m memory) since(before memory) (heap, stacks int) {
	return int(int64(m.heap) - int64(before.heap)), int(int64(m.stacks) - int64(before.stacks))
}

// idlers hold open connections without reading them: what the server writes fits into the kernel's buffers.
type idlers struct {
	*testing.T
	address string
	client  *http.Client
	conns   []net.Conn
}

func (in *idlers) post(path, body string, into any) {
	in.Helper()
	req, err := http.NewRequestWithContext(in.Context(), http.MethodPost, "http://"+in.address+path, strings.NewReader(body))
	if err != nil {
		in.Fatal(err)
	}
	req.Header = bearer(apiKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := in.client.Do(req)
	if err != nil {
		in.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		in.Fatalf("%s: %d %s %v", path, resp.StatusCode, data, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		in.Fatal(err)
	}
}

func (in *idlers) invite(n int) (invitations []string) {
	var made signaling.Consultation
	in.post("/v1/consultations", `{"max_participants":20,"participants":[{"role":"patient"}`+strings.Repeat(`,{"role":"carer"}`, n-1)+`]}`, &made)
	for _, p := range made.Participants {
		invitations = append(invitations, strings.TrimPrefix(p.JoinURL, publicURL+"/j/#"))
	}
	return invitations
}

func (in *idlers) join(invitation string) {
	in.Helper()
	var joining signaling.Joining
	in.post("/v1/join", `{"invitation":"`+invitation+`"}`, &joining)
	conn, err := net.Dial("tcp", in.address)
	if err != nil {
		in.Fatal(err)
	}
	in.conns = append(in.conns, conn)
	in.say(conn, []byte(handshakeWithoutEnd+"\r\n"), "\r\n\r\n")
	in.say(conn, frame(fin|opText, `{"type":"join","token":"`+joining.Token+`"}`), `"joined"`)
}

// say sends something and waits for an answer; what comes after it stays where it is.
func (in *idlers) say(conn net.Conn, data []byte, want string) {
	in.Helper()
	if _, err := conn.Write(data); err != nil {
		in.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var got [2048]byte
	for text := ""; !strings.Contains(text, want); {
		k, err := conn.Read(got[:])
		if text += string(got[:k]); err != nil {
			in.Fatalf("session %d: %v: %.300s", len(in.conns), err, text)
		}
	}
}

func (in *idlers) close() {
	for _, c := range in.conns {
		_ = c.Close()
	}
	in.client.CloseIdleConnections()
}
