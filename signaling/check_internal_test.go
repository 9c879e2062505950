package signaling

import (
	"fmt"
	"testing"
)

// Sixteen are sixteen, from however many addresses, and what is remembered is no more than those.
func TestPlacesAreBounded(t *testing.T) {
	p := newPlaces(mediaChecks)
	var leave []func()
	for i := range mediaChecks {
		l, err := p.enter(fmt.Sprintf("192.0.2.%d:5000", i))
		if err != nil {
			t.Fatalf("place %d: %v", i, err)
		}
		leave = append(leave, l)
	}
	if _, err := p.enter("198.51.100.1:5000"); err == nil {
		t.Error("one more than there are places")
	}
	for _, l := range leave {
		l()
	}
	if len(p.of) != 0 || p.taken != 0 {
		t.Errorf("%d addresses remembered, %d places taken", len(p.of), p.taken)
	}
	for i := range 3 {
		if _, err := p.enter("[2001:db8::1]:5000"); (err == nil) != (i < perNetwork) {
			t.Errorf("place %d of one address: %v", i+1, err)
		}
	}
}
