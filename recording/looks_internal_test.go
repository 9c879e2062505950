package recording

import (
	"testing"
	"time"
)

// The first packet after the time for it starts a look, and none that comes before that look.
func TestLooks(t *testing.T) {
	var l looks
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	told := func(at time.Duration) bool {
		l.came(now.Add(at))
		select {
		case <-l.due:
			return true
		default:
			return false
		}
	}
	l.begin(now)
	for _, c := range []struct {
		at   time.Duration
		want bool
	}{
		{0, false}, {lookEvery - 1, false}, {lookEvery, true}, {lookEvery + 1, false}, {2*lookEvery - 1, false},
		{2 * lookEvery, true}, {time.Hour, true}, {time.Minute, false}, // the clock was set back
	} {
		if got := told(c.at); got != c.want {
			t.Errorf("at %v: told %v", c.at, got)
		}
	}
	l.looked(now.Add(time.Minute))
	if !told(time.Minute + lookEvery) {
		t.Error("not told after a look by the clock that was set back")
	}
	l.came(now.Add(2 * time.Hour))
	l.came(now.Add(3 * time.Hour)) // does not wait
	<-l.due
	if told(3*time.Hour + lookEvery - 1) {
		t.Error("told twice")
	}
}
