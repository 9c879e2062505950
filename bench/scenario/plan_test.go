package scenario_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/scenario"
)

// text writes what happens, one action a line.
func text(p scenario.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "measured from %v to %v, the end is %v\n", p.From, p.To, p.End)
	for _, a := range p.Actions() {
		who := p.People[a.Person]
		fmt.Fprintf(&b, "%v room %d %s: %s", a.At, who.Room, who.Ref, a.Do)
		for _, more := range []string{a.Whom, string(a.Track)} {
			if more != "" {
				b.WriteString(" " + more)
			}
		}
		if a.Up != nil {
			fmt.Fprintf(&b, " up %v", *a.Up)
		}
		if a.Down != nil {
			fmt.Fprintf(&b, " down %v", *a.Down)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestExpand(t *testing.T) {
	s := parse(t, head+`stop: 10s
rooms: {count: 2, arrival: spread}
people:
  - {ref: doctor, role: clinician, screen: single, down: [{at: 0s, link: ""}, {at: 20s, link: "rate=300kbit"}]}
  - {ref: second, role: clinician, join: 1s}
  - {ref: guest, role: carer, count: 2, join: 2s, apart: 500ms, lobby: 3s, mic: speech}
  - {ref: late, role: patient, join: never, lobby: forever}
timeline:
  - {at: 7s, who: guest, do: mute, track: mic, apart: 1s}
  - {at: 10s, who: guest-2, do: drop, back: 2s}
  - {at: 11s, who: late, do: join}
  - {at: 12s, who: doctor, do: admit, whom: late}
  - {at: 13s, who: doctor, do: hold, whom: late}
  - {at: 14s, who: doctor, do: unhold, whom: late}
  - {at: 14s, who: late, do: leave}
  - {at: 15s, who: doctor, do: remove, whom: guest-1}
  - {at: 16s, who: doctor, do: hand-over, whom: second}
  - {at: 30s, who: guest-2, do: kill}
`)
	want := `measured from 5s to 1m5s, the end is 1m15s
0s room 0 doctor: join
1s room 0 second: join
2s room 0 guest-1: join
2.5s room 0 guest-2: join
2.5s room 1 doctor: join
3.5s room 1 second: join
4.5s room 1 guest-1: join
5s room 0 doctor: admit guest-1
5s room 1 guest-2: join
5.5s room 0 doctor: admit guest-2
7s room 0 guest-1: mute mic
7.5s room 1 doctor: admit guest-1
8s room 0 guest-2: mute mic
8s room 1 doctor: admit guest-2
9.5s room 1 guest-1: mute mic
10s room 0 guest-2: drop
10.5s room 1 guest-2: mute mic
11s room 0 late: join
12s room 0 doctor: admit late
12s room 0 guest-2: reconnect
12.5s room 1 guest-2: drop
13s room 0 doctor: hold late
13.5s room 1 late: join
14s room 0 doctor: unhold late
14s room 0 late: leave
14.5s room 1 doctor: admit late
14.5s room 1 guest-2: reconnect
15s room 0 doctor: remove guest-1
15.5s room 1 doctor: hold late
16s room 0 doctor: hand-over second
16.5s room 1 doctor: unhold late
16.5s room 1 late: leave
17.5s room 1 doctor: remove guest-1
18.5s room 1 doctor: hand-over second
20s room 0 doctor: link down rate=300kbit
22.5s room 1 doctor: link down rate=300kbit
30s room 0 guest-2: kill
32.5s room 1 guest-2: kill
1m5s room 0 second: end
1m10s room 1 second: end
`
	if got := text(scenario.Expand(s)); got != want {
		t.Errorf("got\n%s", got)
	}
}

// What nobody sees admitted is not: who left the lobby before, or waits when the clinician has gone.
func TestLobby(t *testing.T) {
	people := "people:\n  - {ref: doctor, role: clinician}\n  - {ref: patient, role: patient, lobby: 5s}\n"
	tests := []struct{ name, events, want string }{
		{"leaves before", "  - {at: 3s, who: patient, do: leave}\n", "0s doctor join; 0s patient join; 3s patient leave; 1m5s doctor end"},
		{"leaves and comes again", "  - {at: 3s, who: patient, do: leave}\n  - {at: 4s, who: patient, do: join}\n",
			"0s doctor join; 0s patient join; 3s patient leave; 4s patient join; 9s doctor admit patient; 1m5s doctor end"},
		{"drops, and is back after", "  - {at: 3s, who: patient, do: drop, back: 4s}\n",
			"0s doctor join; 0s patient join; 3s patient drop; 7s patient reconnect; 12s doctor admit patient; 1m5s doctor end"},
		{"the clinician goes after", "  - {at: 6s, who: doctor, do: kill}\n",
			"0s doctor join; 0s patient join; 5s doctor admit patient; 6s doctor kill; 1m5s patient leave"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := scenario.Expand(parse(t, head+people+"timeline:\n"+tt.events))
			var got []string
			for _, a := range p.Actions() {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%v %s %s %s", a.At, p.People[a.Person].Ref, a.Do, a.Whom)))
			}
			if strings.Join(got, "; ") != tt.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), tt.want)
			}
		})
	}
}

func TestArrivals(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		arrival string
		want    []time.Duration
	}{
		{"at once", []time.Duration{0, 0, 0, 0}},
		{"spread", []time.Duration{0, 1250 * ms, 2500 * ms, 3750 * ms}},
		{"every 500ms", []time.Duration{0, 500 * ms, 1000 * ms, 1500 * ms}},
		{"2/s", []time.Duration{418003 * time.Microsecond, 1102784 * time.Microsecond, 2873061 * time.Microsecond, 3166878 * time.Microsecond}},
	}
	for _, tt := range tests {
		t.Run(tt.arrival, func(t *testing.T) {
			s := parse(t, head+"rooms: {count: 4, arrival: "+tt.arrival+"}\npeople: [{ref: a, role: clinician}]\n")
			var got []time.Duration
			for _, one := range scenario.Expand(s).People {
				got = append(got, one.Actions[0].At)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// The shipped scenarios are what their comments say, and the same every time.
func TestShipped(t *testing.T) {
	if want := []string{"care-team", "churn", "consult", "hospital-firewall", "poor-patient"}; !slices.Equal(scenario.Shipped(), want) {
		t.Fatalf("shipped are %v, tested are %v", scenario.Shipped(), want)
	}
	tests := []struct {
		name   string
		people int
		want   map[scenario.Verb]int
	}{
		{"consult", 2, map[scenario.Verb]int{"join": 2, "admit": 1, "share": 1, "unshare": 1, "mute": 1, "unmute": 1, "end": 1}},
		{"care-team", 8, map[scenario.Verb]int{"join": 8, "admit": 5, "share": 1, "unshare": 1, "hold": 1, "unhold": 1, "drop": 1, "reconnect": 1, "hand-over": 1, "end": 1}},
		{"hospital-firewall", 12, map[scenario.Verb]int{"join": 12, "admit": 8, "end": 4}},
		{"poor-patient", 3, map[scenario.Verb]int{"join": 3, "admit": 2, "end": 1}},
		// 50 a second for the 50 s in which a visit of 10 s can still begin.
		{"churn", 800, map[scenario.Verb]int{"join": 2600, "admit": 2500, "drop": 516, "reconnect": 516, "kill": 272, "leave": 2228, "end": 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := shipped(t, tt.name)
			p := scenario.Expand(s)
			got := make(map[scenario.Verb]int)
			for _, a := range p.Actions() {
				got[a.Do]++
			}
			if len(p.People) != tt.people || !maps.Equal(got, tt.want) {
				t.Errorf("%d people do %v", len(p.People), got)
			}
			if !reflect.DeepEqual(p, scenario.Expand(shipped(t, tt.name))) {
				t.Error("two expansions differ")
			}
			if data, _ := os.ReadFile("scenarios/" + tt.name + ".yaml"); !strings.HasPrefix(string(data), "# ") {
				t.Error("it does not begin with what it is for")
			}
		})
	}
	if _, err := scenario.Source("../doc"); err == nil {
		t.Error("a file that is no scenario was returned")
	}
}

// Another number of rooms is checked as the file was: rooms that come one by one need a longer ramp.
func TestWithRooms(t *testing.T) {
	s, err := scenario.Parse("x.yaml", []byte(`
name: x
purpose: x
ramp: 4s
hold: 10s
rooms: {count: 2, arrival: every 2s}
people: [{ref: doctor, role: clinician}]
`))
	if err != nil {
		t.Fatal(err)
	}
	three, err := s.WithRooms("x.yaml", 3)
	if err != nil || three.Rooms.Count != 3 || len(scenario.Expand(three).People) != 3 || s.Rooms.Count != 2 {
		t.Errorf("3 rooms: %+v, %v", three.Rooms, err)
	}
	var problems scenario.Problems
	if _, err := s.WithRooms("x.yaml", 4); !errors.As(err, &problems) || len(problems) != 1 || problems[0].Line != 6 {
		t.Errorf("4 rooms: %v", err)
	}
}
