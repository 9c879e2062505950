package forward_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/forward"
)

func TestReport(t *testing.T) {
	r := forward.NewReceiver(90000)
	if rep := r.Report(epoch); rep != (forward.Report{}) {
		t.Errorf("before any packet: %+v", rep)
	}
	// Ten packets 10 ms apart whose timestamps say so, three of them lost, one sent twice.
	for i := range 10 {
		if i == 3 || i == 5 || i == 6 {
			continue
		}
		r.Receive(at(10*i), uint16(65530+i), uint32(900*i))
	}
	r.Receive(at(95), 65530+9-65536, 900*9)
	r.SenderReport(at(100), 0x1111_2222_3333_4444)
	want := forward.Report{FractionLost: 76, CumulativeLost: 3, HighestSeq: 65530 + 9, LastSR: 0x2222_3333, SinceLastSR: 32768}
	if rep := r.Report(at(600)); rep != want {
		t.Errorf("reported %+v, want %+v", rep, want)
	}
	// The next interval: one packet, 20 ms late, and one of the lost ones: RFC 3550 appendix A.3
	// lets a loss be taken back, and a fraction never be negative.
	r.Receive(at(120), 4, 900*10)
	r.Receive(at(121), 65533, 900*3)
	want = forward.Report{CumulativeLost: 2, HighestSeq: 65540, Jitter: 1800 / 16, LastSR: 0x2222_3333, SinceLastSR: 65536}
	if rep := r.Report(at(1100)); rep != want {
		t.Errorf("then %+v, want %+v", rep, want)
	}
	if rep := r.Report(at(1100)); rep.FractionLost != 0 {
		t.Errorf("an interval without packets: %+v", rep)
	}
}

// Everything of an interval but its last packet, which came by retransmission, is lost: 255/256,
// because 256/256 does not fit.
func TestReportTotalLoss(t *testing.T) {
	r := forward.NewReceiver(90000)
	r.Receive(epoch, 0, 0)
	r.Report(epoch)
	r.Repair(epoch, 100)
	if rep := r.Report(epoch); rep.FractionLost != 255 || rep.CumulativeLost != 100 {
		t.Errorf("reported %+v", rep)
	}
}

// The arithmetic of timestamps must hold over days.
func TestJitterOfALongCall(t *testing.T) {
	r := forward.NewReceiver(90000)
	for i := range 100 {
		now := epoch.Add(time.Duration(i) * time.Hour)
		r.Receive(now, uint16(i), uint32(i*3600*90000))
	}
	if rep := r.Report(epoch); rep.Jitter != 0 {
		t.Errorf("a jitter of %d where there is none", rep.Jitter)
	}
}

// The vector was computed by the C code of RFC 3550 appendix A.8, transcribed.
func TestJitter(t *testing.T) {
	r := forward.NewReceiver(90000)
	for i, late := range []int{0, 0, 24, 13, 27, 1, 33, 14, 28, 31} {
		r.Receive(at(100*i+late), uint16(i), uint32(9000*i))
	}
	if rep := r.Report(epoch); rep.Jitter != 630 {
		t.Errorf("jitter %d, want 630", rep.Jitter)
	}
}

// Losses beyond 24 bits stop counting instead of turning into gains.
func TestReportCumulativeLossEnds(t *testing.T) {
	r := forward.NewReceiver(90000)
	var seq uint16
	for range 3000 {
		r.Receive(epoch, seq, 0)
		seq += 2999
	}
	if rep := r.Report(epoch); rep.CumulativeLost != 1<<23-1 {
		t.Errorf("%d lost", rep.CumulativeLost)
	}
}
