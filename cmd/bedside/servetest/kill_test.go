package servetest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
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
		case <-time.After(time.Minute):
			t.Fatalf("%d requests in a minute", l.asked.Load())
		}
		life := time.Since(began)
		l.p.kill()
		cancel()
		<-done
		p := h.start(t)
		l.check(t, p)
		l.checkAudit(t, p)
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
	Reason       string `json:"reason"`
	Subject      struct {
		ID string `json:"id"`
	} `json:"subject"`
}

// audit returns all records of the tenant.
func (p *process) audit(t *testing.T) (all []auditRecord) {
	t.Helper()
	for after, more := uint64(0), true; more; {
		var page struct {
			Records []auditRecord `json:"records"`
			Next    uint64        `json:"next"`
			More    bool          `json:"more"`
		}
		p.fetch(t, http.MethodGet, fmt.Sprintf("/v1/audit?limit=1000&after=%d", after), nil, &page, http.StatusOK)
		all = append(all, page.Records...)
		// Every reading is a record of its own: a last page that is not full is the end.
		after, more = page.Next, page.More && len(page.Records) > 1
	}
	return all
}

// checkAudit wants exactly one record of everything that was acknowledged, and one at most of what
// may or may not have happened.
func (l *load) checkAudit(t *testing.T, p *process) {
	t.Helper()
	type event struct{ name, consultation, subject string }
	seen := make(map[event]int)
	var last uint64
	for i, r := range p.audit(t) {
		if i > 0 && r.Index <= last {
			t.Errorf("record %d after %d", r.Index, last)
		}
		last = r.Index
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
