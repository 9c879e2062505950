package forward_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/forward"
)

// Requests are coalesced, at most one in 500 ms, and repeated until
// the key frame comes.
func TestKeyFrameRequests(t *testing.T) {
	var k forward.KeyFrameRequests
	const (
		want = iota
		due
		arrived
		cancel
	)
	steps := []struct {
		name          string
		ms            int
		do            int
		send, pending bool
	}{
		{"nobody wants one", 0, due, false, false},
		{"the first is sent at once", 0, want, true, true},
		{"the second is coalesced", 10, want, false, true},
		{"not yet repeated", 499, due, false, true},
		{"repeated", 500, due, true, true},
		{"and again later", 999, due, false, true},
		{"at its time", 1000, due, true, true},
		{"it comes", 1100, arrived, false, false},
		{"nothing is due", 2000, due, false, false},
		{"wanted long after", 2000, want, true, true},
		{"it comes", 2050, arrived, false, false},
		{"wanted again at once: too soon", 2060, want, false, true},
		{"still", 2499, due, false, true},
		{"sent when it may be", 2500, due, true, true},
		{"nobody wants it any more", 2600, cancel, false, false},
		{"so it is not repeated", 5000, due, false, false},
	}
	for _, s := range steps {
		var send bool
		switch s.do {
		case want:
			send = k.Want(at(s.ms))
		case due:
			send = k.Due(at(s.ms))
		case arrived:
			k.Arrived()
		case cancel:
			k.Cancel()
		}
		if send != s.send || k.Pending() != s.pending {
			t.Fatalf("at %d ms, %s: send %t, pending %t", s.ms, s.name, send, k.Pending())
		}
	}
}

func TestKeyFrameRequestsNext(t *testing.T) {
	var k forward.KeyFrameRequests
	if _, ok := k.Next(); ok {
		t.Error("something is due in a fresh one")
	}
	k.Want(at(100))
	if next, ok := k.Next(); !ok || !next.Equal(at(600)) {
		t.Errorf("next at %v, %t", next, ok)
	}
}

func TestNTP(t *testing.T) {
	// RFC 5905 figure 4 has the first day of Unix.
	if got := forward.NTP(time.Unix(0, 0)); got != 2208988800<<32 {
		t.Errorf("1970 is %#x", got)
	}
	if got := forward.NTP(time.Unix(0, 500_000_000)); got != 2208988800<<32|1<<31 {
		t.Errorf("half a second later is %#x", got)
	}
}

// Lip sync: what a participant's microphone and camera captured at one instant must carry one NTP
// time in the slots' sender reports, although each came with its own report, its own clock rate
// and its own delay.
func TestSenderReportsKeepAudioAndVideoTogether(t *testing.T) {
	var (
		clock        forward.PublisherClock
		audio, video forward.SenderReports
	)
	device := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC) // no clock need be right
	// At device + 0 the camera is at 1000, the microphone at 7000. The audio's report takes 20 ms,
	// the video's comes two seconds later and takes 90.
	audio.Receive(clock.Server(at(20), forward.NTP(device)), 7000, 48000)
	video.Receive(clock.Server(at(2090), forward.NTP(device.Add(2*time.Second))), 1000+180000, 90000)

	a, okA := audio.Timestamp(at(5020), 48000)
	v, okV := video.Timestamp(at(5020), 90000)
	if !okA || !okV || !near(a, 7000+5*48000) || !near(v, 1000+5*90000) {
		t.Errorf("at one time of the server: audio %d, video %d; want %d, %d", a, v, 7000+5*48000, 1000+5*90000)
	}
	// Before the first report's time, too.
	if ts, _ := video.Timestamp(at(20), 90000); !near(ts, 1000) {
		t.Errorf("at the start: %d, want 1000", ts)
	}
}

// near allows for the quarter of a nanosecond that NTP rounds away.
func near(got, want uint32) bool { return got-want+1 <= 2 }

func TestSenderReportsUnknown(t *testing.T) {
	var s forward.SenderReports
	if ts, ok := s.Timestamp(epoch, 90000); ok {
		t.Errorf("%d from no report", ts)
	}
}

// One report that is late says nothing; two that are do, as much as both say. What is early is believed.
func TestSenderReportsThatAreLate(t *testing.T) {
	var s forward.SenderReports
	for i, x := range []struct{ late, want int }{ // ms
		{0, 0}, {1, 1}, {0, 0}, {90, 0}, {0, 0}, {120, 0}, {80, 80}, {80, 80}, {130, 80}, {60, 60}, {61, 61},
		{100, 61}, {130, 100}, {130, 130}, {-40, -40}, {5000, 5000}, {0, 0},
	} {
		s.Receive(at(5000*i+x.late), uint32(240_000*i), 48000)
		if got, ok := s.Time(uint32(240_000*i), 48000); !ok || !got.Equal(at(5000*i+x.want)) {
			t.Errorf("report %d, %d ms late: %v, want %v ms", i, x.late, got.Sub(at(5000*i)), x.want)
		}
	}
}

// A laptop that slept, or whose clock was set, starts anew.
func TestPublisherClockThatIsSet(t *testing.T) {
	var c forward.PublisherClock
	if got := c.Server(at(500), forward.NTP(epoch)); got.Sub(at(500)).Abs() > time.Microsecond {
		t.Errorf("the first report: %v, want now", got)
	}
	c = forward.PublisherClock{}
	c.Server(at(0), forward.NTP(epoch))
	if got := c.Server(at(1900), forward.NTP(at(1000))); got.Sub(at(1000)).Abs() > time.Microsecond {
		t.Errorf("0.9 s late: %v, want the offset kept", got)
	}
	if got := c.Server(at(3000), forward.NTP(at(0))); got.Sub(at(3000)).Abs() > time.Microsecond {
		t.Errorf("set back by 3 s: %v, want now", got)
	}
}
