package result_test

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestEveryFigureIsMeasured(t *testing.T) {
	got := result.Build(good(t)).Measurements
	want := map[string]float64{
		"join_p50": 0.04, "join_p95": 0.16, "join_p99": 0.16, "join_failures": 0, "action_failures": 0,
		"p50_delay": got["p50_delay"], "p90_delay": got["p90_delay"], "p99_delay": got["p99_delay"], "p999_delay": got["p999_delay"],
		"loss": 120.0 / 11940, "loss_before_repair": 240.0 / 11940,
		"freezes": 0, "freezes_per_minute": 0, "freeze_ratio": 0, "video_gap": 0.18, "audio_gap": 0.06,
		"fps": 24, "height": 180, "audio_mos": result.Score(0.02, 49500*time.Microsecond), "layer_switches_per_minute": 3,
		"cpu_per_packet": 25e-6, "violations": 0,
	}
	for name, v := range want {
		if math.Abs(got[name]-v) > 0.001*math.Abs(v) {
			t.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
	if !maps.EqualFunc(got, want, func(float64, float64) bool { return true }) {
		t.Errorf("measured %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	// All that a scenario may ask for is there.
	var all []scenario.Objective
	for name := range want {
		all = append(all, scenario.Objective{Name: name})
	}
	for _, v := range scenario.Evaluate(all, got) {
		if v.Outcome == scenario.NotMeasured {
			t.Error(v.Reason)
		}
	}
	for name, limits := range map[string][2]time.Duration{"p50_delay": {44 * time.Millisecond, 51 * time.Millisecond}, "p999_delay": {59 * time.Millisecond, 61 * time.Millisecond}} {
		if v := got[name]; v < limits[0].Seconds() || v > limits[1].Seconds() {
			t.Errorf("%s is %v", name, v)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*result.Inputs)
		verdict result.Verdict
		reasons []string
	}{
		{"loss missed", func(*result.Inputs) {}, result.Fail, []string{"loss is 1.005%, at most 0.5% was wanted"}},
		{"all met", repaired, result.Pass, []string{}},
		{"starved generator", func(in *result.Inputs) {
			repaired(in)
			in.Generator.Invalid = []string{"the generator used 92 % of its core"}
		}, result.Invalid, []string{"invalid: the generator used 92 % of its core"}},
		{"interrupted", func(in *result.Inputs) { repaired(in); in.Interrupted = true }, result.Invalid, []string{"invalid: interrupted before the end"}},
		{"a join that failed", func(in *result.Inputs) {
			repaired(in)
			in.People[0].Joins = append(in.People[0].Joins, result.Join{Error: "rate_limited"})
		}, result.Fail, []string{"join_failures is 1, at most 0 was wanted"}},
		{"swapped video", func(in *result.Inputs) { repaired(in); in.People[1].Received[0].Wrong = 7 }, result.Fail, []string{
			"violations is 1, at most 0 was wanted",
			"violation: room 0: 7 packets of the camera of doctor reached patient in the slot of somebody else",
		}},
		{"a violation that is no objective", func(in *result.Inputs) {
			repaired(in)
			in.Scenario.Objectives, in.Violations = nil, []string{"a", "b", "c", "d", "e"}
		}, result.Fail, []string{"violation: a", "violation: b", "violation: c", "violation: 2 more"}},
		{"server not seen", func(in *result.Inputs) { repaired(in); in.Server = result.Server{} }, result.Fail, []string{"cpu_per_packet was not measured"}},
		{"pinned video never shown", func(in *result.Inputs) { repaired(in); in.People[1].Received = in.People[1].Received[1:] }, result.Fail, []string{
			"fps is 0, at least 20 was wanted", "height was not measured",
		}},
		{"nobody came", func(in *result.Inputs) { in.People = nil; in.Scenario.Objectives = in.Scenario.Objectives[:3] }, result.Fail, []string{
			"join_p95 was not measured", "p99_delay was not measured",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := good(t)
			c.change(&in)
			r := result.Build(in)
			if r.Verdict != c.verdict || !slices.Equal(r.Reasons, c.reasons) {
				t.Errorf("%s %q, want %s %q", r.Verdict, r.Reasons, c.verdict, c.reasons)
			}
		})
	}
}

// repaired is a run without any loss.
func repaired(in *result.Inputs) {
	for i := range in.People {
		for k := range in.People[i].Received {
			in.People[i].Received[k].Lost = 0
		}
	}
}

func TestWorstComesFirst(t *testing.T) {
	in := good(t)
	in.People[0].Received[0].Freezes, in.People[0].Received[0].Frozen = 2, 6*time.Second
	r := result.Build(in)
	if s := r.Subscriptions[0]; s.By != "doctor" || s.Of != "patient" || s.Video == nil || s.Video.Freezes != 2 {
		t.Errorf("the worst is %+v", s)
	}
	if r.Measurements["freezes"] != 2 || r.Measurements["freezes_per_minute"] != 2 || r.Measurements["freeze_ratio"] != 0.1 {
		t.Errorf("freezes: %v", r.Measurements)
	}
	if r.Measurements["fps"] != 24 {
		t.Errorf("a video that nobody pinned counts: %v", r.Measurements["fps"])
	}
}

func TestPinnedAllThroughTheHold(t *testing.T) {
	const later = `
timeline:
  - {at: 20s, who: patient, do: layout, layout: [{of: doctor, size: 320x180}]}
`
	in := good(t)
	s := parse(t, visit+later)
	in.Scenario, in.Plan = s, scenario.Expand(s)
	r := result.Build(in)
	if _, there := r.Measurements["fps"]; there {
		t.Error("a video that was not pinned any more after 20 s is judged as pinned")
	}
}

func TestScore(t *testing.T) {
	for _, c := range []struct {
		loss  float64
		delay time.Duration
		want  float64
	}{
		// The values of ITU-T G.107 for no loss, at 150, 200, 250, 300 and 400 ms from mouth to ear.
		{0, 105 * time.Millisecond, 4.33}, {0, 155 * time.Millisecond, 4.23}, {0, 205 * time.Millisecond, 3.99},
		{0, 255 * time.Millisecond, 3.71}, {0, 355 * time.Millisecond, 3.05},
		{0.02, 40 * time.Millisecond, 4.17}, {0.1, 150 * time.Millisecond, 3.07}, {1, 0, 1.15}, {0, time.Hour, 1},
	} {
		if got := result.Score(c.loss, c.delay); math.Abs(got-c.want) > 0.02 {
			t.Errorf("score at %v loss, %v: %v, want %v", c.loss, c.delay, got, c.want)
		}
	}
}

func TestDocument(t *testing.T) {
	r := result.Build(good(t))
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/visit.json"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the document differs from %s: look at it, then run with -update", file)
	}
	back, err := result.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := back.Write(&again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), want) {
		t.Error("what was read and written again differs")
	}
}

func TestFormatNamesEveryField(t *testing.T) {
	doc, err := os.ReadFile("format.md")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(kind reflect.Type, at string)
	walk = func(kind reflect.Type, at string) {
		for kind.Kind() == reflect.Slice || kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		if kind.Kind() != reflect.Struct || kind == reflect.TypeFor[time.Time]() {
			return
		}
		for f := range kind.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				t.Errorf("%s%s has no name in the document", at, f.Name)
			}
			if !bytes.Contains(doc, []byte("`"+at+name+"`")) {
				t.Errorf("format.md does not describe `%s%s`", at, name)
			}
			walk(f.Type, name+".")
		}
	}
	walk(reflect.TypeFor[result.Result](), "")
}

func TestLoadHash(t *testing.T) {
	of := func(change ...string) string {
		s := parse(t, strings.NewReplacer(change...).Replace(visit))
		return result.Build(result.Inputs{Scenario: s, Plan: scenario.Expand(s)}).Scenario.Hash
	}
	base := of()
	// It must stay the same from version to version: files of a year ago are compared by it.
	if base != "063df332910af350" {
		t.Errorf("the hash of the example has become %s", base)
	}
	for name, change := range map[string][]string{
		"name": {"name: visit", "name: other"}, "purpose": {"for tests", "for all"}, "seed": {"ramp: 2s", "ramp: 2s\nseed: 9"},
		"objectives": {"fps: 20", "fps: 5"}, "a default written out": {"mic: speech", "mic: {dtx: true}"},
	} {
		if got := of(change...); got != base {
			t.Errorf("%s changes the hash", name)
		}
	}
	for name, change := range map[string][]string{
		"hold": {"hold: 60s", "hold: 61s"}, "link": {"loss=2%", "loss=3%"}, "layout": {"640x360", "320x180"}, "role": {"patient\n", "carer\n"},
	} {
		if got := of(change...); got == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, text := range []string{"", "[]", "{}", "<html>", `{"schema":"bedside-bench/2"}`, `{"schema":7}`} {
		if _, err := result.Read(strings.NewReader(text)); !errors.Is(err, result.ErrSchema) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := result.Read(strings.NewReader(`{"schema":"bedside-bench/1","delay":7}`)); err == nil {
		t.Error("a number was read as a distribution")
	}
}

func FuzzRead(f *testing.F) {
	golden, err := os.ReadFile("testdata/visit.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(golden))
	f.Add(`{"schema":"bedside-bench/1"}`)
	f.Add(`{"schema":"bedside-bench/1","delay":{"p50":1e300},"series":{"at":[null,1e-320]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := result.Read(strings.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := result.Read(&b); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}

func TestNothingIsHiddenOfMany(t *testing.T) {
	in := good(t)
	for range 3000 {
		in.People[0].Received = append(in.People[0].Received, result.Received{Of: "patient", Source: wire.SourceScreen})
	}
	r := result.Build(in)
	if len(r.Subscriptions)+r.Omitted != 3004 || r.Omitted != 1004 {
		t.Errorf("%d listed, %d omitted", len(r.Subscriptions), r.Omitted)
	}
}
