package linkem_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/bench/linkem"
	"github.com/bedside-video/bedside/bench/linkem/link"
)

// In virtual time nothing is late, but for what blocks the clock.
func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := linkem.NewBeat()
		defer b.Close()
		<-time.After(time.Second)
		synctest.Wait()
		if late := b.Take(); late.Looked != 100 || late.Max != 0 {
			t.Errorf("%+v, want 100 looks and nothing late", late)
		}
		if late := b.Take(); late.Looked != 0 {
			t.Errorf("%+v, want nothing since the last", late)
		}
	})
}

func TestMillisecondsAreRead(t *testing.T) {
	var m link.Milliseconds
	if err := m.UnmarshalJSON([]byte("1.5")); err != nil || m != link.Milliseconds(1500*time.Microsecond) {
		t.Errorf("%v, %v", time.Duration(m), err)
	}
	if m.UnmarshalJSON([]byte(`"1"`)) == nil {
		t.Error("took a text for a number")
	}
}
