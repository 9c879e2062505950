package scenario_test

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

// head is the beginning of every file of the tests: four lines.
const head = "name: visit\npurpose: a test\nhold: 1m\nramp: 5s\n"

// pair is a clinician and a patient: three lines.
const pair = "people:\n  - {ref: doctor, role: clinician, camera: single, mic: speech}\n  - {ref: patient, role: patient, join: 1s}\n"

func parse(t *testing.T, text string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("visit.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shipped reads one of the scenarios that come with the program.
func shipped(t *testing.T, name string) scenario.Scenario {
	t.Helper()
	data, err := scenario.Source(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMistakesAreNamed(t *testing.T) {
	timeline := func(events string) string { return head + pair + "timeline:\n" + events }
	tests := []struct {
		name, text string
		want       []string // the beginnings of the lines
	}{
		{"empty", "", []string{"1:1: the file is empty"}},
		{"not YAML", "name: [", []string{"1:1: not YAML"}},
		{"not YAML, later", "name: a\npurpose: b\n\tx: 1\n", []string{"2:1: not YAML"}},
		{"a list", "- 1\n", []string{"1:1: the scenario is a list: write its keys"}},
		{"two documents", head + pair + "---\nname: x\n", []string{"8:1: a second document"}},
		{"nothing needed", "seed: 1\n", []string{"1:1: the scenario has no name: add it", "1:1: the scenario has no purpose", "1:1: the scenario has no hold", "1:1: the scenario has no people"}},
		{"nobody", head + "people: []\n", []string{"1:1: nobody is in the rooms"}},
		{"several at once", "name: Visit\npurpose: \"\"\nhold: 60\nramp: -1s\nrooms: {count: many, arrival: soon}\n" + pair, []string{
			`1:7: name: "Visit": a ref is`, "2:10: purpose: write a sentence", `3:7: hold: "60" is not a duration: write`, `4:7: ramp: "-1s" is out of range`,
			`5:16: count is "many": write a whole number, 1 to 10000`, `5:31: arrival: "soon" is not an arrival`,
		}},
		{"unknown and double keys", head + "holt: 1s\nseed: 1\nseed: 2\n" + pair, []string{`5:1: unknown key "holt": the scenario has name`, "7:1: seed is there twice"}},
		{"types", head + "seed: [1]\nrooms: 3\n" + pair, []string{"5:7: seed is a list: write a value", `6:8: rooms is "3": write its keys (count, arrival)`}},
		{"quoted count", head + "rooms: {count: \"3\"}\n" + pair, []string{`5:16: count is "3": write a whole number`}},
		{"alias", head + "people: &p\n  - {ref: doctor, role: clinician}\ntimeline: *p\n", []string{"7:11: timeline is an alias, which scenarios do not take"}},
		{"null", head + "seed:\n" + pair, []string{"5:6: seed is empty: write a value"}},
		{"hold of nothing", "name: a\npurpose: b\nhold: 0s\npeople: [{ref: a, role: clinician, join: never}]\n", []string{"1:1: hold is 0s"}},
		{"roles", head + "people:\n  - {ref: doctor, role: medic}\n", []string{`6:25: role: "medic" is not one of [clinician patient`}},
		{"a ref twice", head + "people:\n  - {ref: a, role: clinician, count: 2}\n  - {ref: a-2, role: patient}\n", []string{"7:5: a-2 is there twice"}},
		{"what roles may not", head + "people:\n  - {ref: a, role: clinician}\n  - {ref: b, role: observer, mic: speech}\n  - {ref: c, role: carer, screen: single}\n", []string{"7:5: b is an observer", "8:5: c may not share"}},
		{"media", head + "people:\n  - {ref: a, role: clinician, camera: hd, mic: loud, screen: simulcast}\n", []string{`6:39: camera is "hd": write single or simulcast, or`, `6:48: mic is "loud"`, `6:62: screen is "simulcast": write single, or`}},
		{"layers out of order", head + "people:\n  - {ref: a, role: clinician, camera: {layers: [{rid: h, size: 2x2, rate: 2kbit}, {rid: q, size: 1x1, rate: 1kbit}]}}\n", []string{"6:39: camera: the layers are not in order"}},
		{"temporal", head + "people:\n  - {ref: a, role: clinician, camera: {temporal: 2}}\n", []string{"6:50: temporal is 2"}},
		{"links", head + "people:\n  - {ref: a, role: clinician, up: 'rate=1', down: 'los=2%'}\n", []string{`6:35: up: link: "rate=1": rate "1": no unit`, `6:51: down: link: "los=2%": unknown setting: there are rate,`}},
		{"trace", head + "people:\n  - ref: a\n    role: clinician\n    up:\n      - {at: 1s, link: loss=1%}\n      - {at: 1s, link: ''}\n", []string{"9:7: up says nothing of the start", "10:9: up: the steps are not in order"}},
		{"trace too long", head + "people: [{ref: a, role: clinician, up: [{at: 0s, link: ''}, {at: 1m, link: ''}]}]\n", []string{"5:10: the link of a changes at 1m0s"}},
		{"layout", head + "people:\n  - {ref: a, role: clinician, layout: [{of: b, size: 1x1}, {of: a, size: 1x}]}\n", []string{`6:74: size: "1x" is not a size`}},
		{"layout of nobody", head + "people:\n  - {ref: a, role: clinician, layout: [{of: b, size: 1x1}, {of: a, size: 1x1}]}\n", []string{"6:40: of: b is not one person: there are a", "6:60: a has no camera"}},
		{"arrival", head + "rooms: {count: 7, arrival: every 1s}\n" + pair, []string{"5:8: the last of 7 rooms opens at 6s, after the ramp of 5s"}},
		{"too many", head + "rooms: {count: 10000}\npeople: [{ref: a, role: clinician, count: 11}]\n", []string{"5:8: 11 people in 10000 rooms: at most 100000"}},
		{"a room too full", head + "people: [{ref: a, role: clinician, count: 999}, {ref: b, role: clinician, count: 2}]\n", []string{"1:1: 1001 people are in a room: at most 1000"}},
		{"joins late", head + "people: [{ref: a, role: clinician, join: 1m}]\n", []string{"5:10: a joins after the hold of 1m0s"}},
		{"nobody admits", head + "people: [{ref: a, role: patient}]\n", []string{"5:10: at 2s of the room, nobody is there to admit a"}},
		{"events", timeline("  - {at: 2m, who: doctor, do: leave}\n  - {at: 1s, who: nobody, do: leave}\n  - {at: 1s, who: doctor, do: hold}\n  - {at: 1s, who: doctor, do: leave, track: mic}\n  - {at: 1s, who: doctor, do: dance}\n"),
			[]string{`13:31: do: "dance" is not one of [join`}},
		{"events, once they can be read", timeline("  - {at: 2m, who: doctor, do: leave}\n  - {at: 1s, who: nobody, do: leave}\n  - {at: 1s, who: doctor, do: hold}\n  - {at: 1s, who: doctor, do: leave, track: mic, apart: 1s}\n  - {at: 1s, who: doctor, do: drop, back: 2m}\n"), []string{
			"9:5: leave is at 2m0s, not before the end of the hold of 1m0s", "10:5: who: nobody is called nobody: there are doctor patient", "11:5: hold needs whom",
			"12:5: leave takes no track here", "12:5: leave takes no apart here", "13:5: drop is at 2m1s", "13:5: back is 2m0s",
		}},
		{"what cannot happen", timeline("  - {at: 500ms, who: patient, do: leave}\n  - {at: 5s, who: patient, do: share}\n  - {at: 6s, who: patient, do: hold, whom: doctor}\n  - {at: 7s, who: doctor, do: unhold, whom: patient}\n  - {at: 8s, who: doctor, do: join}\n  - {at: 9s, who: patient, do: mute, track: mic}\n  - {at: 10s, who: doctor, do: hand-over, whom: patient}\n  - {at: 11s, who: doctor, do: reconnect}\n"), []string{
			"9:5: at 500ms of the room, patient cannot leave, being out", "10:5: at 5s of the room, patient has no screen to share", "11:5: at 6s of the room, patient cannot hold: only a clinician",
			"12:5: at 7s of the room, doctor cannot unhold patient, who is in the room", "13:5: at 8s of the room, doctor cannot join, being in the room", "14:5: at 9s of the room, patient has no mic to mute",
			"15:5: at 10s of the room, doctor cannot hand over to patient", "16:5: at 11s of the room, doctor cannot reconnect, being in the room: drop comes first",
		}},
		{"churn", head + pair + "churn:\n  - {who: nobody, rate: 1/s, stay: 5s}\n  - {who: patient, rate: 1/s, stay: 5s, kill: 60%, drop: 60%}\n", []string{"9:5: who: nobody is called nobody", "10:5: patient comes by churn and joins", "10:5: patient are 1 people in all rooms, and 1 a second for 5s each, with 2s between visits, take 7"}},
		{"churn's values", head + pair + "churn:\n  - {who: patient, rate: 1, stay: 5s, kill: 0.1}\n", []string{`9:26: rate: "1" is not a frequency`, `9:45: kill: "0.1" is not a percentage`}},
		{"objectives", head + pair + "objectives: {p98_delay: 1s, loss: 0.1, join_p95: 1, freezes: none}\n", []string{`8:14: unknown key "p98_delay": objectives has join_p50`, `8:35: loss: "0.1" is not a percentage`, `8:50: join_p95: "1" is not a duration`, `8:62: freezes: "none" is not a number`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := scenario.Parse("visit.yaml", []byte(tt.text))
			var problems scenario.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want problems", err)
			}
			got := strings.Split(err.Error(), "\n")
			same := slices.EqualFunc(got, tt.want, func(g, w string) bool { return strings.HasPrefix(g, "visit.yaml:"+w) })
			if !same {
				t.Errorf("got\n%s\nwant\n%s", err, strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestParse(t *testing.T) {
	s := parse(t, head+`seed: 7
rooms: {count: 3, arrival: 2/s}
people:
  - ref: doctor
    role: clinician
    camera: {fps: 25, temporal: 3, constant: true, layers: [{rid: q, size: 320x180, rate: 90kbit}, {rid: h, size: 640x360, rate: 0.3mbit}]}
    mic: {talks: 50%, dtx: false}
    up: [{at: 0s, link: "rate=2mbit"}, {at: 10s, link: "rate=300kbit,queue=200ms,loss=2%,burst=3"}]
objectives: {p99_delay: 5ms, loss: 0.1%, fps: 20}
`)
	doctor := s.People[0]
	if s.Seed != 7 || s.Rooms.Count != 3 || s.Rooms.Arrival != (scenario.Arrival{Kind: scenario.ArriveRandom, Rate: 2}) {
		t.Errorf("got seed %d, rooms %+v", s.Seed, s.Rooms)
	}
	if doctor.Role != wire.RoleClinician || doctor.Count != 1 || doctor.Lobby != 2*time.Second {
		t.Errorf("got %+v", doctor)
	}
	if c := doctor.Camera; c.FPS != 25 || c.Temporal != 3 || !c.Constant || !slices.Equal(c.Layers, []scenario.Layer{{"q", 320, 180, 90_000}, {"h", 640, 360, 300_000}}) {
		t.Errorf("got camera %+v", c)
	}
	if want := (scenario.Audio{Bitrate: 24_000, Talks: 0.5}); *doctor.Mic != want {
		t.Errorf("got mic %+v", doctor.Mic)
	}
	want := []scenario.LinkStep{
		{Link: link.Shape{Rate: link.Constant(2 * link.Mbit)}},
		{At: 10 * time.Second, Link: link.Shape{Rate: link.Constant(300 * link.Kbit), Queue: 200 * time.Millisecond, Loss: 0.02, Burst: 3}},
	}
	if !reflect.DeepEqual(doctor.Up, want) {
		t.Errorf("got up %+v", doctor.Up)
	}
	if !slices.Equal(s.Objectives, []scenario.Objective{{"p99_delay", 0.005}, {"loss", 0.001}, {"fps", 20}}) {
		t.Errorf("got objectives %+v", s.Objectives)
	}
}

func TestEvaluate(t *testing.T) {
	objectives := []scenario.Objective{{"join_p95", 1}, {"p99_delay", 0.005}, {"loss", 0.001}, {"fps", 20}, {"freezes", 0}, {"height", 180}, {"made-up", 1}}
	got := scenario.Evaluate(objectives, scenario.Measurements{"join_p95": 1, "p99_delay": 0.0072, "loss": 0.0025, "fps": 19.5, "freezes": 0})
	want := []scenario.Verdict{
		{"join_p95", scenario.Met, "join_p95 is 1s, at most 1s was wanted"},
		{"p99_delay", scenario.Missed, "p99_delay is 7.2ms, at most 5ms was wanted"},
		{"loss", scenario.Missed, "loss is 0.25%, at most 0.1% was wanted"},
		{"fps", scenario.Missed, "fps is 19.5, at least 20 was wanted"},
		{"freezes", scenario.Met, "freezes is 0, at most 0 was wanted"},
		{"height", scenario.NotMeasured, "height was not measured"},
		{"made-up", scenario.NotMeasured, "no figure is called made-up"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// Every key is in format.md, and format.md has no key that is not one.
func TestFormatIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("format.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\| .* \\|.*\\|$|^\\| `(objectives\\.[a-z0-9_]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		documented = append(documented, row[1]+row[2])
	}
	keys := scenario.Keys()
	slices.Sort(documented)
	slices.Sort(keys)
	if !slices.Equal(documented, keys) {
		t.Errorf("documented\n%v\nkeys\n%v", documented, keys)
	}
	for _, do := range scenario.Verbs() {
		if !strings.Contains(string(doc), "\n| `"+string(do)+"` | ") {
			t.Errorf("format.md does not say what %s does", do)
		}
	}
	for _, name := range scenario.Shipped() {
		if !strings.Contains(string(doc), "(scenarios/"+name+".yaml)") {
			t.Errorf("format.md does not name the scenario %s", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range scenario.Shipped() {
		data, err := scenario.Source(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(head + pair))
	f.Add([]byte(head + "people: &p\n  - *p\n"))
	f.Add([]byte("? {a: b}\n: c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := scenario.Parse("f", data)
		if err != nil {
			var problems scenario.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("an error that is no list of problems: %v", err)
			}
			return
		}
		p := scenario.Expand(s)
		for _, one := range p.People {
			last := time.Duration(0)
			for _, a := range one.Actions {
				if a.At < last || a.At > p.End {
					t.Fatalf("%s of room %d does %s at %v, after %v; the end is %v", one.Ref, one.Room, a.Do, a.At, last, p.End)
				}
				last = a.At
			}
		}
	})
}
