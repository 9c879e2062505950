package servetest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// met is a consultation with clinician and patient in it.
type met struct {
	consultation
	clinician, patient *visitor
}

func (p *process) meet(t *testing.T, externalID string) met {
	t.Helper()
	var m met
	p.fetch(t, http.MethodPost, "/v1/consultations", newConsultation(externalID), &m.consultation, http.StatusCreated)
	enter := func(role string) *visitor {
		v, err := p.enter(t.Context(), m.with(role).invitation())
		if err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		t.Cleanup(v.close)
		return v
	}
	m.clinician, m.patient = enter("clinician"), enter("patient")
	if _, err := m.clinician.ask(map[string]any{"type": "admit", "participant": m.with("patient").ID}); err != nil {
		t.Fatalf("admit: %v", err)
	}
	return m
}

// Told to stop, the server tells everybody, lets nobody in and ends; a second word ends it at once.
func TestTerminated(t *testing.T) {
	h := newHome(t)
	h.configure(t, "")
	for _, twice := range []bool{false, true} {
		p := h.start(t)
		m := p.meet(t, p.url)
		join := p.beginJoin(t)
		began := time.Now()
		p.signal(t, syscall.SIGTERM)
		for _, v := range []*visitor{m.clinician, m.patient} {
			last, err := v.until(func(m message) bool { return m.Type == "ended" })
			if err != nil || last.Reason != "server_draining" {
				t.Errorf("the last message is %+v, %v", last, err)
			}
		}
		if twice { // the server still waits: neither has closed its WebSocket, and the request is not complete
			p.signal(t, syscall.SIGTERM)
			if status := p.wait(t); !status.Signaled() || status.Signal() != syscall.SIGTERM {
				t.Errorf("ended with %v, want by the second signal", p.command.ProcessState)
			}
			t.Logf("figure: ended %v after the first of two SIGTERM", time.Since(began).Round(time.Millisecond))
			continue
		}
		resp, err := join.complete()
		if err != nil {
			t.Fatalf("join while it stops: %v", err)
		}
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("join while it stops: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
		}
		if status := p.wait(t); !status.Exited() || status.ExitStatus() != 0 {
			t.Errorf("ended with %v", p.command.ProcessState)
		}
		t.Logf("figure: ended %v after SIGTERM, with two people who did not hang up", time.Since(began).Round(time.Millisecond))
	}
}

// halfJoin is a request to join whose head has not all been sent.
type halfJoin struct{ net.Conn }

// beginJoin begins one. While it is unfinished the process has not stopped, for the 5 s in which the head of a
// request has to come: more than the second that it waits for WebSockets that nobody closes, in which a busy machine
// may not let this process run at all.
func (p *process) beginJoin(t *testing.T) halfJoin {
	t.Helper()
	addr := strings.TrimPrefix(p.url, "http://")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "POST /v1/join HTTP/1.1\r\nHost: %s\r\n", addr); err != nil {
		t.Fatal(err)
	}
	return halfJoin{c}
}

// complete sends the rest and returns the answer without its body.
func (j halfJoin) complete() (*http.Response, error) {
	const body = `{"invitation": "none"}`
	rest := fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	if _, err := io.WriteString(j, rest); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(j), nil)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// Sessions outlive the process: whoever has a resume token is back where they were, without being
// admitted again.
func TestSessionsOutliveTheProcess(t *testing.T) {
	tests := []struct {
		name string
		end  func(*testing.T, *process)
	}{
		{"stopped", func(t *testing.T, p *process) { p.stop(t) }},
		{"killed", func(_ *testing.T, p *process) { p.kill() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			h.configure(t, "")
			first := h.start(t)
			m := first.meet(t, "external")
			tt.end(t, first)
			second := h.start(t)
			began := time.Now()
			for role, v := range map[string]*visitor{"patient": m.patient, "clinician": m.clinician} {
				again, err := second.connect(t.Context(), "resume", v.joined.Resume)
				if err != nil {
					t.Fatalf("%s: %v", role, err)
				}
				defer again.close()
				if again.joined.State != "admitted" {
					t.Errorf("%s is %s", role, again.joined.State)
				}
			}
			t.Logf("figure: %s: back %v after it served again, which took %d ms", tt.name, time.Since(began).Round(time.Millisecond), second.tookMS)
			if _, err := second.enter(t.Context(), m.with("carer").invitation()); err != nil {
				t.Errorf("a link from before: %v", err)
			}
			second.stop(t)
		})
	}
}

func TestSystemdIsTold(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	told := func(want string) {
		t.Helper()
		if err := l.SetReadDeadline(time.Now().Add(startTimeout)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := l.Read(b)
		if string(b[:n]) != want {
			t.Errorf("told %q, %v, want %q", b[:n], err, want)
		}
	}
	h := newHome(t)
	h.configure(t, "")
	p := h.start(t, "NOTIFY_SOCKET="+name)
	told("READY=1")
	t.Logf("figure: serving %d ms after the first start", p.tookMS)
	status, text, err := p.request(t.Context(), http.MethodGet, "/readyz", nil)
	if err != nil || status != http.StatusOK {
		t.Errorf("not ready: %d %s %v", status, text, err)
	}
	p.signal(t, syscall.SIGHUP) // nothing to read again, and no reason to end
	p.stop(t)
	told("STOPPING=1")
	var last map[string]any
	if err := json.Unmarshal([]byte(p.log.lastLine()), &last); err != nil || last["msg"] != "stopping" {
		t.Errorf("the last line is %v, %v", last, err)
	}
}
