package signaling_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/wire"
)

// fakeRelay numbers the credentials that it issues.
type fakeRelay struct {
	mu     sync.Mutex
	issued int
	live   map[string]int // sessions, and how many credentials each has
}

func (r *fakeRelay) Servers(session string) ([]wire.ICEServer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.issued++
	r.live[session]++
	return []wire.ICEServer{{URLs: []string{"turn:a.example"}, Username: fmt.Sprint("name-", r.issued), Credential: "relay-password"}}, nil
}

func (r *fakeRelay) End(session string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, session)
}

// left returns how many credentials each of the sessions has that has any.
func (r *fakeRelay) left() (counts []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.live {
		counts = append(counts, n)
	}
	slices.Sort(counts)
	return counts
}

func withRelay(t *testing.T, test func(w *world, r *fakeRelay)) {
	t.Helper()
	r := &fakeRelay{live: map[string]int{}}
	inWorld(t, func(_ *config.Signaling, d *signaling.Deps) { d.Relay = r }, func(w *world) {
		test(w, r)
		w.wantNotLogged("name-", "relay-password")
	})
	if got := r.left(); got != nil {
		t.Errorf("credentials outlive the server: %v", got)
	}
}

func (w *world) wantNotLogged(secrets ...string) {
	w.Helper()
	for _, s := range secrets {
		if strings.Contains(w.log.String(), s) {
			w.Errorf("%q is in the log", s)
		}
	}
}

// Who publishes without a WebSocket is told of the relay in headers, and loses the credential as everybody does.
func TestRelayByLink(t *testing.T) {
	withRelay(t, func(w *world, r *fakeRelay) {
		v := w.open(fivePeople)
		p := v.publish(theDevice)
		if want := []string{`<turn:a.example>; rel="ice-server"; username="name-2"; credential="relay-password"; credential-type="password"`}; !slices.Equal(p.links, want) {
			t.Errorf("links %q", p.links)
		}
		if got := r.left(); !slices.Equal(got, []int{2}) { // the first with the answer that nobody reads
			t.Errorf("credentials %v", got)
		}
		if a := v.ask("DELETE", p.location, bearing(p.token, ""), ""); a.status != 200 {
			t.Errorf("leaving: %d", a.status)
		}
		p.settle()
		if got := r.left(); got != nil {
			t.Errorf("credentials that are left: %v", got)
		}
	})
}

// Everybody who joins is told of the relay, gets another credential before the first expires, and
// loses all of them with the session.
func TestRelayCredentials(t *testing.T) {
	withRelay(t, func(w *world, r *fakeRelay) {
		v := w.open(threePeople)
		doctor, patient := v.enter(0), v.enter(1)
		first := patient.last("joined").(*wire.Joined).ICEServers
		if len(first) != 1 || first[0].Username != "name-2" || first[0].Credential != "relay-password" {
			t.Fatalf("joined with %+v", first)
		}
		w.advance(8 * time.Minute)
		renewed, ok := patient.last("ice_servers").(*wire.ICEServers)
		if !ok || len(renewed.ICEServers) != 1 || renewed.ICEServers[0].Username == first[0].Username {
			t.Fatalf("after 8 minutes: %+v", renewed)
		}
		if got := r.left(); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("credentials of sessions: %v, want two each", got)
		}
		doctor.send(&wire.Remove{Participant: v.Participants[1].ID}, 7)
		w.settle()
		if got := r.left(); !slices.Equal(got, []int{2}) {
			t.Errorf("after the patient was removed: %v, want the clinician's two", got)
		}
		doctor.drop()
		w.settle()
		if got := r.left(); got != nil {
			t.Errorf("after the clinician's connection was lost: %v", got)
		}
	})
}

func TestNoRelay(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		patient := w.open(threePeople).enter(1)
		w.advance(20 * time.Minute)
		if got := patient.last("joined").(*wire.Joined).ICEServers; got == nil || len(got) != 0 || slices.Contains(patient.types(), "ice_servers") {
			t.Errorf("joined with %v, then %v", got, patient.types())
		}
	})
}
