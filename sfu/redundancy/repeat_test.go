package redundancy_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/redundancy"
)

func TestSent(t *testing.T) {
	var s redundancy.Sent
	for seq := uint16(65520); seq != 10; seq++ {
		p := redundancy.Near2
		if seq == 3 {
			p = redundancy.None
		}
		s.Note(seq, p)
	}
	for _, tt := range []struct {
		name    string
		in, seq uint16
		want    bool
	}{
		{"the one before", 5, 4, true},
		{"the third before", 1, 65534, true},
		{"the second before", 5, 3, false},
		{"itself", 5, 5, false},
		{"a later one", 5, 6, false},
		{"by one without copies", 3, 2, false},
		{"by one that is forgotten", 65525, 65524, false},
		{"by one that was not sent", 10, 9, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.Carried(tt.in, tt.seq); got != tt.want {
				t.Errorf("carried: %t", got)
			}
		})
	}
	if got := redundancy.Came([]uint16{65534, 65535, 0}); got != 1 {
		t.Errorf("%d made it ask, want 1", got)
	}
	if got := redundancy.Came([]uint16{7, 3}); got != 8 {
		t.Errorf("%d made it ask, want 8", got)
	}
}

func TestAllowance(t *testing.T) {
	var a redundancy.Allowance
	now := time.Unix(1000, 0)
	if a.Left(now) {
		t.Error("the zero value allows something")
	}
	a.Set(now, 16_000) // 2,000 bytes a second
	if a.Left(now) {
		t.Error("there is credit before any time has passed")
	}
	spent := 0
	for range 100 { // ten seconds
		now = now.Add(100 * time.Millisecond)
		for a.Left(now) {
			a.Spend(150)
			spent += 150
		}
	}
	if spent < 19_000 || spent > 21_000 {
		t.Errorf("%d bytes in ten seconds, want 20,000", spent)
	}
	now = now.Add(time.Hour)
	for spent = 0; a.Left(now); spent += 150 {
		a.Spend(150)
	}
	if spent < 750 || spent > 1000 {
		t.Errorf("%d bytes at once after an hour, want 800", spent)
	}
	a.Set(now, 0)
	if now = now.Add(time.Hour); a.Left(now) {
		t.Error("there is credit with nothing to spare")
	}
}

func TestSpare(t *testing.T) {
	voice := redundancy.Traffic{Packets: 50, Bytes: 2500}
	for _, tt := range []struct{ budget, depth, want int }{
		{0, 2, 16_000},
		{45_600, 0, 0},
		{100_000, 0, 54_400},
		{100_000, 2, 10_800},
		{80_000, 2, 0},
	} {
		if got := voice.Spare(tt.budget, tt.depth); got != tt.want {
			t.Errorf("of %d at depth %d: %d, want %d", tt.budget, tt.depth, got, tt.want)
		}
	}
}
