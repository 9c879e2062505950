package signaling_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/sfu/quality"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/store"
	"github.com/bedside-video/bedside/signaling/wire"
)

// loss is the share of packets lost on the way from and to one participant.
type loss struct{ up, down float64 }

// talk lets the media plane count 100 packets a second each way for everybody, of which some are lost.
func (v *visit) talk(d time.Duration, lost map[string]loss) {
	v.Helper()
	for range int(d / time.Second) {
		v.media.mu.Lock()
		for _, p := range v.Participants {
			s := v.media.samples[p.ID]
			s.Connected, s.RoundTrip = true, 40*time.Millisecond
			s.Up.Packets += 100
			s.Up.Lost += uint64(100 * lost[p.ID].up)
			s.Down.Packets += 100
			s.Down.Lost += uint64(100 * lost[p.ID].down)
			v.media.samples[p.ID] = s
		}
		v.media.mu.Unlock()
		v.advance(time.Second)
	}
}

// qualities returns the quality messages that came since the n-th message, without those with figures.
func (c *client) qualities(since int) (got []string) {
	for _, r := range c.all()[since:] {
		if q, ok := r.m.(*wire.Quality); ok && q.Figures == nil {
			got = append(got, fmt.Sprintf("%s %s/%s", q.Participant, q.Uplink, q.Downlink))
		}
	}
	return got
}

func (v *visit) report() (rep signaling.QualityReport) {
	v.Helper()
	if status, code := v.call("GET", "/v1/consultations/"+v.ID+"/report", apiKey, "", &rep); status != 200 {
		v.Fatalf("report: %d %s", status, code)
	}
	return rep
}

func TestQualityIsToldWhenItChanges(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient, _ := v.three()
		waiting := v.Participants[1].ID
		v.talk(10*time.Second, nil)
		if got := patient.qualities(0); got != nil {
			t.Errorf("good connections are told of: %q", got)
		}
		v.talk(20*time.Second, map[string]loss{waiting: {up: 0.05}})
		if got, want := patient.qualities(0), []string{waiting + " fair/good"}; !slices.Equal(got, want) {
			t.Errorf("the patient is told %q, not %q", got, want)
		}
		n := len(patient.all())
		v.talk(30*time.Second, nil)
		if got, want := patient.qualities(n), []string{waiting + " good/good"}; !slices.Equal(got, want) {
			t.Errorf("the patient is told %q, not %q", got, want)
		}
		var figures []wire.Quality
		for _, r := range doctor.all() {
			if q, ok := r.m.(*wire.Quality); ok && q.Figures != nil && q.Participant == waiting {
				figures = append(figures, *q)
			}
		}
		if len(figures) != 6 {
			t.Fatalf("the clinician got figures %d times in a minute", len(figures))
		}
		if f := figures[2]; *f.Figures != (wire.LinkFigures{UplinkLoss: 0.05, RoundTrip: 40}) || f.Uplink != wire.LinkFair {
			t.Errorf("in the middle: %+v %+v", f, *f.Figures)
		}
		for _, r := range patient.all() {
			if q, ok := r.m.(*wire.Quality); ok && q.Figures != nil {
				t.Fatalf("the patient got figures: %s", r.raw)
			}
		}
	})
}

// Who comes later learns what the others have been told; who waits or is on hold learns nothing.
func TestQualityIsForTheRoom(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, patient := v.enter(0), v.enter(1)
		bad := map[string]loss{v.Participants[0].ID: {down: 0.2}}
		v.talk(20*time.Second, bad)
		if got := patient.qualities(0); got != nil {
			t.Errorf("in the lobby: %q", got)
		}
		doctor.send(&wire.Admit{Participant: v.Participants[1].ID}, 2)
		v.talk(4*time.Second, bad)
		if got, want := patient.qualities(0), []string{v.Participants[0].ID + " good/poor"}; !slices.Equal(got, want) {
			t.Errorf("admitted: %q, not %q", got, want)
		}
		doctor.send(&wire.Hold{Participant: v.Participants[1].ID}, 3)
		n := len(patient.all())
		v.talk(30*time.Second, nil)
		if got := patient.qualities(n); got != nil {
			t.Errorf("on hold: %q", got)
		}
	})
}

// The report names whose link lost packets, and which way; nobody else's.
func TestReportNamesTheLink(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		empty := v.report()
		if empty.BucketMS != 10_000 || len(empty.Participants) != 0 || len(empty.Findings) != 0 {
			t.Errorf("before anybody came: %+v", empty)
		}
		_, patient, _ := v.three()
		v.talk(20*time.Second, nil)
		v.talk(40*time.Second, map[string]loss{v.Participants[1].ID: {up: 0.05}, v.Participants[2].ID: {down: 0.06}})
		patient.send(&wire.Stats{Samples: 240_000, Concealed: 4800, Freezes: 2, Frozen: 700}, 7)
		v.settle()
		if got := patient.reply(7); got != "done" {
			t.Errorf("stats: %q", got)
		}
		live := v.report()
		want := []string{"1 uplink fair 0.05", "2 downlink fair 0.06"}
		check := func(when string, rep signaling.QualityReport) {
			var got []string
			for _, f := range rep.Findings {
				i := slices.IndexFunc(v.Participants, func(p signaling.Participant) bool { return p.ID == f.Participant })
				got = append(got, fmt.Sprintf("%d %s %s %.2f", i, f.Link, f.Level, f.Loss))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: findings %q, not %q", when, got, want)
			}
			if rep.Lost != (signaling.LostPackets{Uplink: 200, Downlink: 240}) {
				t.Errorf("%s: lost %+v", when, rep.Lost)
			}
			if len(rep.Participants) != 3 {
				t.Fatalf("%s: %d participants", when, len(rep.Participants))
			}
			p := rep.Participants[1]
			if p.ID != v.Participants[1].ID || p.Ref != "r2" || p.Role != wire.RolePatient || p.Total.Concealed != 0.02 || p.Total.FrozenMS != 700 || p.Total.Freezes != 2 {
				t.Errorf("%s: the patient %+v", when, p)
			}
			if n := len(p.Timeline); n < 6 || n > 7 {
				t.Errorf("%s: %d buckets for a minute", when, n)
			}
			if p.Total.Downlink.Score < 4.3 || p.Total.Uplink.Score > 4.2 {
				t.Errorf("%s: scores %v down, %v up", when, p.Total.Downlink.Score, p.Total.Uplink.Score)
			}
		}
		check("while it is on", live)
		w.restart()
		check("after a restart", v.report())
		if status, _ := w.call("DELETE", "/v1/consultations/"+v.ID, apiKey, "", nil); status != 204 {
			t.Errorf("cancel: %d", status)
		}
		check("when it is over", v.report())
		w.advance(25 * time.Hour)
		if status, _ := w.call("GET", "/v1/consultations/"+v.ID+"/report", apiKey, "", nil); status != 404 {
			t.Errorf("a day later: %d", status)
		}
		if err := w.store.Each(w.Context(), "reports", func(e store.Entry) error { return errors.New(e.Key) }); err != nil {
			t.Errorf("a report outlives its record: %v", err)
		}
	})
}

// What a crash loses of a report is the last minutes, and the report goes on after it.
func TestReportOutlivesACrash(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		v := w.open(threePeople)
		v.three()
		v.talk(6*time.Minute, nil)
		before := v.report().Participants[0].Total.Uplink.Packets
		w.crash()
		kept := v.report().Participants[0].Total.Uplink.Packets
		if kept < before-6200 || kept >= before {
			t.Errorf("%d packets of %d are kept", kept, before)
		}
		v.enter(0)
		v.talk(20*time.Second, nil)
		if after := v.report().Participants[0].Total.Uplink.Packets; after < kept+1700 {
			t.Errorf("%d packets after another 20 s, %d before", after, kept)
		}
	})
}

func TestStatsOfNonsense(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, _, _ := v.three()
		for i, c := range []struct {
			m    wire.Stats
			want string
		}{
			{wire.Stats{}, "done"},
			{wire.Stats{Samples: 100_000_000, Concealed: 100_000_000, Freezes: 100_000_000, Frozen: 100_000_000}, "done"},
			{wire.Stats{Samples: -1}, "bad_message"},
			{wire.Stats{Samples: 5, Concealed: -1}, "bad_message"},
			{wire.Stats{Samples: 5, Concealed: 6}, "bad_message"},
			{wire.Stats{Freezes: 100_000_001}, "bad_message"},
			{wire.Stats{Frozen: -7}, "bad_message"},
		} {
			if got := doctor.ask(&c.m, uint64(100+i)); got != c.want {
				t.Errorf("%+v: %q, not %q", c.m, got, c.want)
			}
		}
	})
}

// A media plane that cannot be asked ends nothing.
func TestQualityIsNoReasonToEnd(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		doctor, _, _ := v.three()
		w.media.mu.Lock()
		w.media.measureErr = errors.New("no")
		w.media.mu.Unlock()
		w.advance(10 * time.Second)
		doctor.wantAlive()
		if rep := v.report(); len(rep.Participants) != 0 {
			t.Errorf("%+v", rep)
		}
	})
}

func TestQualityMetrics(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		v := w.open(threePeople)
		_, patient, _ := v.three()
		w.media.mu.Lock()
		w.media.samples[v.Participants[0].ID] = quality.Sample{Dropped: 9, Connected: true}
		w.media.mu.Unlock()
		v.talk(30*time.Second, map[string]loss{v.Participants[1].ID: {up: 0.2}})
		patient.send(&wire.Stats{Samples: 480_000, Concealed: 48_000, Frozen: 1500}, 7)
		v.settle()
		text := w.metricsText()
		for _, line := range []string{
			`bedside_quality_level_changes_total{level="poor",link="uplink"} 1`,
			`bedside_quality_level_changes_total{level="poor",link="downlink"} 0`,
			`bedside_quality_lost_total{link="downlink"} 0`,
			`bedside_quality_lost_total{link="server"} 9`,
			`bedside_quality_sound_seconds_total 10`,
			`bedside_quality_concealed_seconds_total 1`,
			`bedside_quality_frozen_seconds_total 1.5`,
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("no line %s", line)
			}
		}
	})
}

// In a large room clinicians are told figures of those alone whose connection is not good: of everybody they
// would grow with the square of the people.
func TestFiguresInALargeRoom(t *testing.T) {
	for _, tt := range []struct {
		people int
		good   bool // are figures of good connections told
	}{{20, true}, {21, false}} {
		inWorld(t, func(c *config.Signaling, _ *signaling.Deps) { c.Limits.Participants = 30 }, func(w *world) {
			everybody := strings.Repeat(`{"role":"clinician","ref":"r"},`, tt.people)
			v := w.open(fmt.Sprintf(`"max_participants":%d,"participants":[%s]`, tt.people, everybody[:len(everybody)-1]))
			var doctor *client
			for n := range tt.people {
				doctor = v.enter(n)
				v.advance(10 * time.Second) // joining is limited
			}
			bad := v.Participants[0].ID
			v.talk(40*time.Second, map[string]loss{bad: {up: 0.2}})
			told := map[string]int{}
			for _, r := range doctor.all() {
				if q, ok := r.m.(*wire.Quality); ok && q.Figures != nil {
					told[q.Participant]++
				}
			}
			if told[bad] < 3 || (told[v.Participants[1].ID] > 0) != tt.good {
				t.Errorf("%d people: figures of a bad connection %d times, of a good one %d times", tt.people, told[bad], told[v.Participants[1].ID])
			}
		})
	}
}
