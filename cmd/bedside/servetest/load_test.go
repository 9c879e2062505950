package servetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	loadRate = 200 // requests a second
	// inFlight bounds the load that a slow server lets pile up; more is not sent.
	inFlight = 100
)

// answer is what is known of a request.
type answer int

const (
	notAsked answer = iota
	unknown         // asked, and the process died before it answered
	granted
)

// visit is what the load did with one consultation, each thing once.
type visit struct {
	consultation
	created, revoked, cancelled, admitted answer
}

// load is a scheduling system and people who use one process until it dies.
type load struct {
	p       *process
	prefix  string // of the external ids
	busy    sync.WaitGroup
	enough  int64 // so many requests are granted before reached is closed, and more under way
	reached chan struct{}
	asked   atomic.Int64
	granted atomic.Int64

	mu      sync.Mutex
	visits  []*visit
	idle    []*visit // nothing has been done with them but creating them
	strange []string // answers that nobody should get
}

// run sends loadRate requests a second until ctx ends, and returns when all have come to an end.
func (l *load) run(ctx context.Context, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	room := make(chan struct{}, inFlight)
	tick := time.NewTicker(time.Second / loadRate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			l.busy.Wait()
			return
		case <-tick.C:
		}
		todo := l.choose(random, n)
		select {
		case room <- struct{}{}:
		default:
			continue
		}
		l.asked.Add(1)
		l.busy.Go(func() { todo(); <-room })
	}
}

// choose picks what is asked next: of 20, 10 creations, 4 revocations, 3 cancellations, 3 admissions.
func (l *load) choose(random *rand.Rand, n int) func() {
	dice := random.IntN(20)
	v := l.take(random)
	if v == nil || dice < 10 {
		if v != nil {
			l.giveBack(v)
		}
		v = &visit{created: unknown}
		v.ExternalID = fmt.Sprintf("%s-%d", l.prefix, n)
		l.mu.Lock()
		l.visits = append(l.visits, v)
		l.mu.Unlock()
		return func() { l.create(v) }
	}
	switch {
	case dice < 14:
		return func() {
			l.ask(&v.revoked, http.MethodDelete, "/v1/consultations/"+v.ID+"/participants/"+v.with("carer").ID)
		}
	case dice < 17:
		return func() { l.ask(&v.cancelled, http.MethodDelete, "/v1/consultations/"+v.ID) }
	}
	return func() { l.admit(v) }
}

// grant notes that the server has acknowledged something.
func (l *load) grant(outcome *answer) {
	*outcome = granted
	if l.granted.Add(1) == l.enough {
		close(l.reached)
	}
}

func (l *load) take(random *rand.Rand) *visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.idle) == 0 {
		return nil
	}
	i := random.IntN(len(l.idle))
	v := l.idle[i]
	l.idle[i] = l.idle[len(l.idle)-1]
	l.idle = l.idle[:len(l.idle)-1]
	return v
}

func (l *load) giveBack(v *visit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, v)
}

func (l *load) create(v *visit) {
	status, text, err := l.p.request(context.Background(), http.MethodPost, "/v1/consultations", newConsultation(v.ExternalID))
	if err != nil || status == http.StatusServiceUnavailable {
		return // it is not known whether it was created
	}
	var c consultation
	if err := json.Unmarshal(text, &c); err != nil || status != http.StatusCreated {
		l.odd("create: %d %s", status, text)
		return
	}
	l.mu.Lock()
	v.consultation = c
	l.grant(&v.created)
	l.idle = append(l.idle, v)
	l.mu.Unlock()
}

// ask makes one request that is answered with 204.
func (l *load) ask(outcome *answer, method, path string) {
	*outcome = unknown
	status, text, err := l.p.request(context.Background(), method, path, nil)
	if err != nil || status == http.StatusServiceUnavailable { // not in time: the disk or the machine is busy
		return
	}
	if status != http.StatusNoContent {
		l.odd("%s %s: %d %s", method, path, status, text)
		return
	}
	l.grant(outcome)
}

// admit lets the clinician and the patient in, one after the other.
func (l *load) admit(v *visit) {
	ctx := context.Background()
	v.admitted = unknown
	clinician, err := l.p.enter(ctx, v.with("clinician").invitation())
	if err != nil {
		return
	}
	defer clinician.close()
	patient, err := l.p.enter(ctx, v.with("patient").invitation())
	if err != nil {
		return
	}
	defer patient.close()
	if _, err := clinician.ask(map[string]any{"type": "admit", "participant": v.with("patient").ID}); err == nil {
		l.grant(&v.admitted)
	}
}

func (l *load) odd(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strange = append(l.strange, fmt.Sprintf(format, args...))
}

// count returns how many visits are as described.
func (l *load) count(is func(*visit) bool) (n int) {
	for _, v := range l.visits {
		if is(v) {
			n++
		}
	}
	return n
}

// check asks another process, in the same home, what has become of everything.
func (l *load) check(t *testing.T, p *process) {
	t.Helper()
	for _, s := range l.strange {
		t.Errorf("an answer that nobody should get: %s", s)
	}
	for _, v := range l.visits {
		var found struct {
			Consultations []consultation `json:"consultations"`
		}
		p.fetch(t, http.MethodGet, "/v1/consultations?external_id="+v.ExternalID, nil, &found, http.StatusOK)
		if n := len(found.Consultations); n > 1 || n == 0 && v.created == granted {
			t.Errorf("%s: %d consultations", v.ExternalID, n)
			continue
		}
		if v.created == granted {
			v.check(t, p, found.Consultations[0])
		}
	}
}

// check compares what was acknowledged with what is there.
func (v *visit) check(t *testing.T, p *process, got consultation) {
	t.Helper()
	if got.ID != v.ID || len(got.Participants) != len(v.Participants) {
		t.Fatalf("%s: %+v, want %+v", v.ExternalID, got, v.consultation)
	}
	agree := func(what string, done bool, asked answer) {
		if done && asked == notAsked || !done && asked == granted {
			t.Errorf("%s (%s): %s is %v, asked %v", v.ExternalID, v.ID, what, done, asked)
		}
	}
	agree("cancelled", got.State == "cancelled", v.cancelled)
	agree("revoked", got.with("carer").Revoked, v.revoked)
	for i, was := range v.Participants {
		is := got.Participants[i]
		if is.ID != was.ID || !is.Revoked && is.JoinURL != was.JoinURL {
			t.Errorf("%s: %+v, want %+v", v.ExternalID, is, was)
		}
	}
	_, err := p.token(t.Context(), v.with("carer").invitation())
	agree("the link's end", err != nil, max(v.revoked, v.cancelled))
}
