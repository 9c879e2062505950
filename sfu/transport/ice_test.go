package transport

import (
	"context"
	"crypto/rand"
	"net/netip"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

// agent returns what the port knows of the connection's agent number i, oldest first.
func (c *Conn) agent(i int) *generation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generations[i]
}

// check sends a connectivity check to an agent and returns the answer, nil for none.
func check(t *testing.T, p *nowhere, g *generation, from netip.AddrPort, name string, more ...stun.Setter) *stun.Message {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(name)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	p.sent = nil
	g.Check(m, from)
	if len(p.sent) == 0 {
		return nil
	}
	answer := &stun.Message{Raw: p.sent[0]}
	if err := answer.Decode(); err != nil {
		t.Fatal(err)
	}
	if err := stun.NewShortTermIntegrity(g.password).Check(answer); err != nil {
		t.Error(err)
	}
	if err := stun.Fingerprint.Check(answer); err != nil {
		t.Error(err)
	}
	if answer.TransactionID != m.TransactionID {
		t.Error("an answer to another check")
	}
	return answer
}

// useCandidate nominates; controlled claims a role that the client cannot have.
type attribute stun.AttrType

func (a attribute) AddTo(m *stun.Message) error {
	m.Add(stun.AttrType(a), make([]byte, 8))
	return nil
}

// withUfrag is an offer after an ICE restart.
func withUfrag(offer, ufrag string) string {
	return regexp.MustCompile(`a=ice-ufrag:\S+`).ReplaceAllString(offer, "a=ice-ufrag:"+ufrag)
}

func TestChecks(t *testing.T) {
	c, p := openConn(t, &recorder{})
	if _, err := c.Answer(context.Background(), chromium(t), anything); err != nil {
		t.Fatal(err)
	}
	g := c.agent(0)
	name := g.ufrag + ":" + c.negotiation.ufrag
	home, mobile := netip.MustParseAddrPort("203.0.113.5:5000"), netip.MustParseAddrPort("[2001:db8::5]:5000")
	path := func() netip.AddrPort {
		if at := c.path.Load(); at != nil {
			return *at
		}
		return netip.AddrPort{}
	}
	if a := check(t, p, g, home, g.ufrag+":another"); a != nil || path().IsValid() {
		t.Error("a check for another client was answered")
	}
	if a := check(t, p, g, home, name, attribute(stun.AttrICEControlled)); a.Type != stun.BindingError || path().IsValid() {
		t.Errorf("a client in our role: %v, path %v", a.Type, path())
	}
	answer := check(t, p, g, home, name)
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(answer); err != nil || mapped.String() != home.String() || path() != home {
		t.Errorf("mapped %v, %v, path %v; want %v", mapped, err, path(), home)
	}
	if check(t, p, g, mobile, name); path() != home {
		t.Errorf("a check that nominates nothing moved the path to %v", path())
	}
	answer = check(t, p, g, mobile, name, attribute(stun.AttrUseCandidate))
	if err := mapped.GetFrom(answer); err != nil || mapped.String() != mobile.String() || path() != mobile {
		t.Errorf("mapped %v, %v, path %v; want %v", mapped, err, path(), mobile)
	}
}

// After an ICE restart the old credentials hold until the new ones are proven, and media flows there.
func TestRestartKeepsTheOldPath(t *testing.T) {
	c, p := openConn(t, &recorder{})
	offer := func(ufrag string) {
		t.Helper()
		if _, err := c.Answer(context.Background(), withUfrag(chromium(t), ufrag), anything); err != nil {
			t.Fatal(err)
		}
	}
	home, mobile := netip.MustParseAddrPort("203.0.113.5:5000"), netip.MustParseAddrPort("203.0.113.6:6000")
	offer("first")
	old := c.agent(0)
	check(t, p, old, home, old.ufrag+":first")
	offer("second")
	lost := c.agent(1)
	offer("third")
	fresh := c.agent(1)
	if len(p.agents) != 2 || p.agents[old.ufrag] == "" || p.agents[fresh.ufrag] == "" || p.agents[lost.ufrag] != "" {
		t.Errorf("the port knows %d agents, want the proven and the newest", len(p.agents))
	}
	if check(t, p, old, home, old.ufrag+":first", attribute(stun.AttrUseCandidate)); *c.path.Load() != home {
		t.Error("the old path is given up before the new one is proven")
	}
	if check(t, p, fresh, mobile, fresh.ufrag+":third"); *c.path.Load() != mobile || len(p.agents) != 1 {
		t.Errorf("path %v, %d agents, after the new path was proven", *c.path.Load(), len(p.agents))
	}
	check(t, p, old, home, old.ufrag+":first", attribute(stun.AttrUseCandidate)) // was on its way
	if *c.path.Load() != mobile {
		t.Error("a late check of before the restart moved the path back")
	}
}

// states notes the states that a connection tells of, with the second.
type states struct {
	recorder
	conn  *Conn
	start time.Time
	seen  []string
}

func (s *states) StateChanged() {
	name := map[State]string{StateNew: "new", StateConnected: "connected", StateDisconnected: "disconnected", StateFailed: "failed"}[s.conn.State()]
	s.seen = append(s.seen, name+" "+time.Since(s.start).Truncate(time.Second).String())
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &states{start: time.Now()}
		e, err := NewEngine(Options{Port: newNowhere(), Clock: time.Now, Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		c, err := e.Open(s)
		if err != nil {
			t.Fatal(err)
		}
		s.conn = c
		if _, err := c.Answer(t.Context(), chromium(t), anything); err != nil {
			t.Fatal(err)
		}
		c.setEstablished()
		for range 2 {
			<-time.After(20 * time.Second)
			c.hear()
		}
		<-time.After(60 * time.Second)
		synctest.Wait()
		want := []string{"connected 0s", "disconnected 12s", "connected 20s", "disconnected 32s", "connected 40s", "disconnected 52s", "failed 1m10s"}
		if len(s.seen) != len(want) {
			t.Fatalf("got %q, want %q", s.seen, want)
		}
		for i := range want {
			if s.seen[i] != want[i] {
				t.Errorf("got %q, want %q", s.seen[i], want[i])
			}
		}
		if c.hear(); c.State() != StateFailed {
			t.Error("failed is not final")
		}
		_ = c.Close()
	})
}

// Who never connects is given up as well.
func TestNeverConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &states{start: time.Now()}
		e, err := NewEngine(Options{Port: newNowhere(), Clock: time.Now, Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		if s.conn, err = e.Open(s); err != nil {
			t.Fatal(err)
		}
		if _, err := s.conn.Answer(t.Context(), chromium(t), anything); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if len(s.seen) != 1 || s.seen[0] != "failed 30s" {
			t.Errorf("got %q, want failed after 30s", s.seen)
		}
		_ = s.conn.Close()
	})
}
