package servetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// A process that is killed under load loses nothing that it acknowledged, and nothing happens twice.
func TestKilledUnderLoad(t *testing.T) {
	rounds := 5
	if os.Getenv("SOAK") != "" {
		rounds = 100
	}
	random := rand.New(rand.NewPCG(1, 2))
	var total tally
	h := newHome(t)
	for round := range rounds {
		if round%10 == 0 { // so that a long run looks at many small histories
			h = newHome(t)
			h.configure(t, "")
		}
		l := &load{p: h.start(t), prefix: fmt.Sprint("round-", round), enough: 80 + random.Int64N(240), reached: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		runLoad := func() { defer close(done); l.run(ctx, random.Uint64()) }
		go runLoad()
		began := time.Now()
		select {
		case <-l.reached:
		case <-l.p.exited:
			t.Fatal("ended by itself")
		case <-time.After(2 * time.Minute):
			t.Fatalf("%d of %d requests granted in two minutes", l.granted.Load(), l.asked.Load())
		}
		life := time.Since(began)
		l.p.kill()
		cancel()
		<-done
		p := h.start(t)
		l.check(t, p)
		l.checkAudit(t, h.audit(t)) // while the server runs
		total.add(l, life, p)
		p.stop(t)
	}
	t.Logf("figure: %d kills under %.0f requests/s: of %d acknowledged creations, %d revocations, %d cancellations and %d admissions none lost or doubled; %d requests died with the process; listening again after %d ms at most",
		rounds, float64(total.asked)/total.life.Seconds(), total.created, total.revoked, total.cancelled, total.admitted, total.unknown, total.restartMS)
	if total.created < rounds*20 || total.revoked < rounds || total.cancelled < rounds || total.admitted < rounds {
		t.Errorf("too little happened: %+v", total)
	}
}

// tally sums up the rounds.
type tally struct {
	asked, created, revoked, cancelled, admitted, unknown int
	life                                                  time.Duration
	restartMS                                             int64
}

func (s *tally) add(l *load, life time.Duration, p *process) {
	s.asked += int(l.asked.Load())
	s.created += l.count(func(v *visit) bool { return v.created == granted })
	s.revoked += l.count(func(v *visit) bool { return v.revoked == granted })
	s.cancelled += l.count(func(v *visit) bool { return v.cancelled == granted })
	s.admitted += l.count(func(v *visit) bool { return v.admitted == granted })
	s.unknown += l.count(func(v *visit) bool {
		return v.created == unknown || v.revoked == unknown || v.cancelled == unknown || v.admitted == unknown
	})
	s.life += life
	s.restartMS = max(s.restartMS, p.tookMS)
}

// auditRecord is what a test reads of one.
type auditRecord struct {
	Index        uint64 `json:"index"`
	Name         string `json:"name"`
	Consultation string `json:"consultation"`
	Outcome      string `json:"outcome"`
	Subject      struct {
		ID string `json:"id"`
	} `json:"subject"`
}

// audit returns all records, after `bedside audit verify` has found nothing wrong with them.
func (h home) audit(t *testing.T) (all []auditRecord) {
	t.Helper()
	if out, err := exec.Command(binary, "audit", "verify", "--data-dir", h.data()).CombinedOutput(); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := exec.Command(binary, "audit", "export", "--data-dir", h.data()).Output()
	if err != nil {
		t.Fatalf("export: %v", err)
	}
	lines := json.NewDecoder(bytes.NewReader(out))
	for {
		var r auditRecord
		if err := lines.Decode(&r); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
}

// checkAudit wants exactly one record of everything that was acknowledged, and one at most of what
// may or may not have happened.
func (l *load) checkAudit(t *testing.T, records []auditRecord) {
	t.Helper()
	type event struct{ name, consultation, subject string }
	seen := make(map[event]int)
	for i, r := range records {
		if r.Index != uint64(i) {
			t.Fatalf("record %d in place %d", r.Index, i)
		}
		if r.Outcome == "ok" {
			seen[event{r.Name, r.Consultation, r.Subject.ID}]++
		}
	}
	for _, v := range l.visits {
		if v.created != granted {
			continue // its id is not known
		}
		for _, want := range []struct {
			event
			asked answer
		}{
			{event{"consultation.created", v.ID, ""}, v.created},
			{event{"consultation.cancelled", v.ID, ""}, v.cancelled},
			{event{"invitation.revoked", v.ID, v.with("carer").ID}, v.revoked},
			{event{"person.admitted", v.ID, v.with("patient").ID}, v.admitted},
		} {
			n := seen[want.event]
			if n > 1 || want.asked == granted && n != 1 || want.asked == notAsked && n != 0 {
				t.Errorf("%s: %d records of %s, asked %v", v.ExternalID, n, want.name, want.asked)
			}
		}
	}
}

// What a start, a stop and a crash leave in the audit log.
func TestStartsAreInTheAuditLog(t *testing.T) {
	h := newHome(t)
	h.configure(t, "")
	h.start(t).stop(t)
	h.start(t).kill()
	h.configure(t, "drain_timeout: 5s\n")
	h.start(t).stop(t)
	want := []string{
		"server.started", "config.changed", "key.changed", "key.changed", "key.changed", "key.changed", "server.stopped",
		"server.started",
		"server.started", "config.changed", "server.stopped",
	}
	var got []string
	for _, r := range h.audit(t) {
		got = append(got, r.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
