package forward_test

import (
	"slices"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/forward"
)

func TestReceive(t *testing.T) {
	ok := forward.Arrival{Newest: true}
	drop := forward.Arrival{Drop: true}
	late := forward.Arrival{}
	type step struct {
		seq  uint16
		want forward.Arrival
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{1, ok}, {2, ok}, {3, ok}}},
		{"duplicates", []step{{1, ok}, {1, drop}, {2, ok}, {1, drop}, {2, drop}}},
		{"out of order", []step{{1, ok}, {3, forward.Arrival{Newest: true, Missing: 1}}, {2, late}, {2, drop}, {4, ok}}},
		{"wrap", []step{{65534, ok}, {65535, ok}, {0, ok}, {65535, drop}, {1, ok}}},
		{"gap over the wrap", []step{{65534, ok}, {1, forward.Arrival{Newest: true, Missing: 2}}, {65535, late}, {0, late}, {0, drop}}},
		{"late at the very start", []step{{5, ok}, {4, late}, {4, drop}}},
		{"late before sequence number 0", []step{{0, ok}, {65535, late}, {65535, drop}}},
		{"the last that can be told", []step{{2000, ok}, {977, late}, {976, drop}, {977, drop}}},
		{"a step that is no jump", []step{{1, ok}, {3000, forward.Arrival{Newest: true, Missing: 2998}}, {2, drop}, {2999, late}}},
		{"a step wipes what was before", []step{{1, ok}, {2, ok}, {1030, forward.Arrival{Newest: true, Missing: 1027}}, {1025, late}, {1029, late}, {7, late}, {6, drop}}},
		{"a jump needs two in sequence", []step{{1, ok}, {5000, drop}, {5001, forward.Arrival{Newest: true, Restarted: true}}, {5001, drop}, {5002, ok}}},
		{"a jump back", []step{{40000, ok}, {7, drop}, {8, forward.Arrival{Newest: true, Restarted: true}}, {9, ok}}},
		{"strays are no jump", []step{{1, ok}, {5000, drop}, {2, ok}, {5001, drop}, {3, ok}, {9000, drop}, {9002, drop}, {4, ok}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := forward.NewReceiver(90000)
			for i, s := range tt.steps {
				if got := r.Receive(epoch, s.seq, 0); got != s.want {
					t.Fatalf("step %d: packet %d is %+v, want %+v", i, s.seq, got, s.want)
				}
			}
		})
	}
}

func TestRepair(t *testing.T) {
	r := forward.NewReceiver(90000)
	if a := r.Repair(epoch, 1); a != (forward.Arrival{Drop: true}) {
		t.Errorf("before everything: %+v", a)
	}
	r.Receive(epoch, 10, 0)
	r.Receive(epoch, 12, 0)
	steps := []struct {
		name string
		seq  uint16
		want forward.Arrival
	}{
		{"fills a hole", 11, forward.Arrival{}},
		{"once", 11, forward.Arrival{Drop: true}},
		{"a probe", 10, forward.Arrival{Drop: true}},
		{"the last packet, lost", 13, forward.Arrival{Newest: true}},
		{"far off", 9000, forward.Arrival{Drop: true}},
		{"never a new numbering", 9001, forward.Arrival{Drop: true}},
	}
	for _, s := range steps {
		if a := r.Repair(epoch, s.seq); a != s.want {
			t.Errorf("%s: %+v, want %+v", s.name, a, s.want)
		}
	}
	// 13 was sent; 11 and 13 were lost on the way, and the publisher is told so.
	if rep := r.Report(epoch); rep.CumulativeLost != 2 || rep.HighestSeq != 13 {
		t.Errorf("reported %+v", rep)
	}
}

func TestNacks(t *testing.T) {
	r := forward.NewReceiver(90000)
	const rtt = 100 * time.Millisecond
	want := func(ms int, seqs ...uint16) {
		t.Helper()
		if got := r.Nacks(at(ms), rtt, nil); !slices.Equal(got, seqs) {
			t.Fatalf("at %d ms: %v, want %v", ms, got, seqs)
		}
	}
	r.Receive(at(0), 65533, 0)
	want(0)
	r.Receive(at(10), 1, 0)
	want(10, 65534, 65535, 0)
	want(20)
	r.Receive(at(30), 65535, 0)
	r.Receive(at(40), 3, 0)
	want(40, 2)
	want(159)
	want(160, 65534, 0)
	want(190, 2)
	r.Repair(at(200), 0)
	want(310, 65534)
	want(1009, 65534, 2)
	want(1010)
	want(1039)
	want(5000)
}

func TestNacksEndAfterTenTimes(t *testing.T) {
	r := forward.NewReceiver(90000)
	r.Receive(at(0), 1, 0)
	r.Receive(at(0), 3, 0)
	var asked []int
	for ms := range 2000 {
		if len(r.Nacks(at(ms), 0, nil)) > 0 {
			asked = append(asked, ms)
		}
	}
	// Every 30 ms: one and a half times the least round trip that is believed.
	if want := []int{0, 30, 60, 90, 120, 150, 180, 210, 240, 270}; !slices.Equal(asked, want) {
		t.Errorf("asked at %v, want %v", asked, want)
	}
}

// Audio is asked for while the answer is in time, and comes as itself; what was only overtaken is no answer.
func TestNacksWithin(t *testing.T) {
	const rtt = 150 * time.Millisecond
	r := forward.NewReceiver(48000)
	r.Within(400 * time.Millisecond)
	r.Receive(at(0), 1, 0)
	r.Receive(at(0), 4, 0)
	var asked []int
	for ms := range 2000 {
		switch n := len(r.Nacks(at(ms), rtt, nil)); {
		case n > 0:
			asked = append(asked, n, ms)
		case ms == 10:
			if a := r.Receive(at(ms), 2, 0); a.Drop || a.Repaired {
				t.Errorf("overtaken: %+v", a)
			}
		case ms == 300:
			if a := r.Receive(at(ms), 3, 0); a.Drop || !a.Repaired {
				t.Errorf("sent again: %+v", a)
			}
		}
	}
	if want := []int{2, 0, 1, 225}; !slices.Equal(asked, want) {
		t.Errorf("asked for (number, ms) %v, want %v", asked, want)
	}
	if got, want := r.Totals(), (forward.Totals{Expected: 4, Received: 3, Repaired: 1}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
	r.Receive(at(2000), 6, 0)
	if got := r.Nacks(at(2000), 401*time.Millisecond, nil); len(got) != 0 {
		t.Errorf("asked for %v, which would be late", got)
	}
}

// An outage is mended by a key frame; what is asked for is bounded, the newest are kept.
func TestNacksAreBounded(t *testing.T) {
	r := forward.NewReceiver(90000)
	r.Receive(at(0), 0, 0)
	r.Receive(at(0), 2, 0)
	r.Receive(at(0), 1000, 0)
	got := r.Nacks(at(0), 0, nil)
	if len(got) != 256 || got[0] != 744 || got[255] != 999 {
		t.Errorf("%d asked for, %d to %d", len(got), got[0], got[len(got)-1])
	}
	r.Receive(at(0), 1003, 0)
	got = r.Nacks(at(0), 0, nil)
	if want := []uint16{1001, 1002}; !slices.Equal(got, want) {
		t.Errorf("then %v, want %v", got, want)
	}
	got = r.Nacks(at(30), 0, nil)
	if len(got) != 256 || got[0] != 746 || got[255] != 1002 {
		t.Errorf("again %d asked for, %d to %d", len(got), got[0], got[len(got)-1])
	}
}

func TestReceiveDoesNotAllocate(t *testing.T) {
	r := forward.NewReceiver(90000)
	r.Receive(epoch, 0, 0)
	r.Receive(epoch, 2, 0) // the list of missing packets is made once
	seq, out := uint16(2), make([]uint16, 0, 256)
	n := testing.AllocsPerRun(1000, func() {
		seq += 2
		r.Receive(epoch, seq, 0)
		out = r.Nacks(epoch, 0, out[:0])
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReceive(b *testing.B) {
	b.ReportAllocs()
	r := forward.NewReceiver(90000)
	var seq uint16
	for b.Loop() {
		r.Receive(epoch, seq, 0)
		_ = r.Nacks(epoch, 0, nil)
		seq++
	}
}

// What was lost is counted on the way, whether or not a retransmission mended it; a new numbering does
// not begin the counts anew.
func TestTotals(t *testing.T) {
	r := forward.NewReceiver(90000)
	if got := r.Totals(); got != (forward.Totals{}) {
		t.Errorf("before everything: %+v", got)
	}
	for _, seq := range []uint16{10, 11, 13, 13, 16, 15} { // 12 and 14 are missing, 13 came twice
		r.Receive(epoch, seq, 0)
	}
	r.Repair(epoch, 12)
	r.Repair(epoch, 12)
	if got, want := r.Totals(), (forward.Totals{Expected: 7, Received: 5, Repaired: 1}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
	r.Receive(epoch, 40000, 0)
	r.Receive(epoch, 40001, 0) // proves a new numbering, of which it is the first
	r.Receive(epoch, 40003, 0)
	if got, want := r.Totals(), (forward.Totals{Expected: 10, Received: 7, Repaired: 1}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}
