package audit_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/audit"
)

// start is when the tests' events begin.
func start() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 123e6, time.UTC) }

// event returns an event with every field set, the n-th of a sequence.
func event(n int) audit.Event {
	return audit.Event{
		Time: start().Add(time.Duration(n) * time.Second), Name: audit.PersonAdmitted, Tenant: "north",
		Consultation: "c" + strconv.Itoa(n%7),
		Actor:        audit.Actor{Kind: audit.KindParticipant, ID: "p1", Role: "clinician", Ref: "Practitioner/7"},
		Subject:      audit.Subject{ID: "p2", Role: "patient", Ref: "urn:example:" + strconv.Itoa(n)},
		Outcome:      audit.OutcomeOK, Reason: "lobby", Net: "192.0.2.0/24", Request: "r-1", Session: "s_1",
	}
}

func TestEventsHoldNothingElse(t *testing.T) {
	tests := []struct {
		name string
		set  func(*audit.Event)
		ok   bool
	}{
		{"every field", func(*audit.Event) {}, true},
		{"only name and time", func(e *audit.Event) { *e = audit.Event{Time: e.Time, Name: e.Name} }, true},
		{"longest reference", func(e *audit.Event) { e.Subject.Ref = strings.Repeat("x", audit.MaxRefBytes) }, true},
		{"IPv6 prefix", func(e *audit.Event) { e.Net = "2001:db8:7::/48" }, true},
		{"no time", func(e *audit.Event) { e.Time = time.Time{} }, false},
		{"no name", func(e *audit.Event) { e.Name = "" }, false},
		{"unlisted name", func(e *audit.Event) { e.Name = "jane.doe" }, false},
		{"tenant with a space", func(e *audit.Event) { e.Tenant = "Jane Doe" }, false},
		{"address as tenant", func(e *audit.Event) { e.Tenant = "192.0.2.7" }, false},
		{"consultation too long", func(e *audit.Event) { e.Consultation = strings.Repeat("x", audit.MaxIDBytes+1) }, false},
		{"actor's kind with capitals", func(e *audit.Event) { e.Actor.Kind = "Person" }, false},
		{"actor's id in another script", func(e *audit.Event) { e.Actor.ID = "Søren" }, false},
		{"actor's role as a sentence", func(e *audit.Event) { e.Actor.Role = "a nurse" }, false},
		{"mail address as reference", func(e *audit.Event) { e.Actor.Ref = "jane@example.org" }, false},
		{"subject's id with a quote", func(e *audit.Event) { e.Subject.ID = `x"` }, false},
		{"subject's role with a line end", func(e *audit.Event) { e.Subject.Role = "x\n" }, false},
		{"address as reference", func(e *audit.Event) { e.Subject.Ref = "2001:db8::7" }, false},
		{"reference too long", func(e *audit.Event) { e.Subject.Ref = strings.Repeat("x", audit.MaxRefBytes+1) }, false},
		{"outcome with a hyphen", func(e *audit.Event) { e.Outcome = "not-ok" }, false},
		{"free text as reason", func(e *audit.Event) { e.Reason = "she asked to leave" }, false},
		{"whole address", func(e *audit.Event) { e.Net = "192.0.2.7" }, false},
		{"prefix too long", func(e *audit.Event) { e.Net = "192.0.2.7/32" }, false},
		{"prefix not masked", func(e *audit.Event) { e.Net = "192.0.2.7/24" }, false},
		{"IPv6 prefix too long", func(e *audit.Event) { e.Net = "2001:db8:7:8::/64" }, false},
		{"IPv4 in IPv6", func(e *audit.Event) { e.Net = "::ffff:192.0.2.0/120" }, false},
		{"request with a slash", func(e *audit.Event) { e.Request = "a/b" }, false},
		{"session with a dot", func(e *audit.Event) { e.Session = "a.b.c" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := event(1)
			tt.set(&e)
			err := audit.NewMemory("n1", 4).Append(t.Context(), e)
			if tt.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tt.ok && !errors.Is(err, audit.ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
		})
	}
}

func TestRefAndPrefix(t *testing.T) {
	refs := []struct{ in, want string }{
		{"Practitioner/7", "Practitioner/7"},
		{"urn:oid:1.2.3|42", "urn:oid:1.2.3|42"},
		{"Jane Doe", "sha256:ATMsh2UYp5O3wbjfr21LQE_12wmyHGYnyllxDMJPaWo"},
		{"192.0.2.7", "sha256:N9rWd88LOZfQ9d0NeIn4SxEALjynOwrhvbbX6bRv24o"},
	}
	for _, tt := range refs {
		got := audit.Ref(tt.in)
		e := event(1)
		e.Subject.Ref = got
		if err := audit.NewMemory("n1", 1).Append(t.Context(), e); err != nil {
			t.Errorf("Ref(%q) = %q, which Append refuses: %v", tt.in, got, err)
		}
		if got != tt.want {
			t.Errorf("Ref(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	prefixes := []struct {
		in   netip.Addr
		want string
	}{
		{netip.MustParseAddr("192.0.2.7"), "192.0.2.0/24"},
		{netip.MustParseAddr("::ffff:192.0.2.7"), "192.0.2.0/24"},
		{netip.MustParseAddr("2001:db8:7:8::9"), "2001:db8:7::/48"},
		{netip.MustParseAddr("fe80::1%eth0"), "fe80::/48"},
		{netip.Addr{}, ""},
	}
	for _, tt := range prefixes {
		if got := audit.Prefix(tt.in); got != tt.want {
			t.Errorf("Prefix(%v) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// A name that is declared and not listed could never be appended.
func TestEveryNameIsListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "name.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, v := range spec.Values {
				name, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				declared = append(declared, name)
			}
		}
		return true
	})
	listed := audit.Names()
	if len(declared) == 0 || len(declared) != len(listed) {
		t.Fatalf("%d names declared, %d listed", len(declared), len(listed))
	}
	for i, name := range declared {
		if string(listed[i]) != name {
			t.Errorf("name %d is declared as %q and listed as %q", i, name, listed[i])
		}
		if err := audit.NewMemory("n1", 1).Append(t.Context(), audit.Event{Time: start(), Name: listed[i]}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
