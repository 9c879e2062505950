package layers_test

import (
	"fmt"
	"testing"
)

// A larger picture is begun only where its key frame, too, fits into the first second.
func TestKeyFrameMustFit(t *testing.T) {
	for _, c := range []struct {
		name     string
		key      int
		kbits    int
		from, to string
	}{
		{"it does", 40_000, 270, "[q2]", "[q2 h2-2 h2-1]"},
		{"it does not", 70_000, 270, "[q2]", "[q2]"},
		{"where more is carried", 70_000, 300, "[q2]", "[q2 h2-2 h2]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stepper{want: want(1)}
			s.want.Ladder[1].KeyBits = c.key
			if got := fmt.Sprint(s.run(150, 1000)); got != c.from {
				t.Fatalf("begins with %s", got)
			}
			if got := fmt.Sprint(s.run(c.kbits, 5000)); got != c.to {
				t.Errorf("%s, want %s", got, c.to)
			}
		})
	}
}

// An encoding that was hardly measured is taken for what it will come to.
func TestYoungEncodingsGrow(t *testing.T) {
	s := stepper{want: want(1)}
	s.want.Ladder[1].Rates = [3]int{80_000, 120_000, 200_000}
	s.want.Ladder[1].Full = 280_000
	if got := fmt.Sprint(s.run(240, 2000)); got != "[q2]" {
		t.Errorf("%s, want [q2]", got)
	}
	s.want.Ladder[1].Full = 0
	if got := fmt.Sprint(s.run(240, 3000)); got != "[q2 h2-1 h2]" {
		t.Errorf("measured: %s", got)
	}
}

// What is waited for and would not fit any more is waited for no longer.
func TestNextMustFit(t *testing.T) {
	s := stepper{want: want(1)}
	s.want.Ladder = camera("q")
	s.run(2000, 2000)
	if got := fmt.Sprint(s.run(500, 100)); got != "[q2>h]" {
		t.Errorf("%s behind 500 kbit/s, want [q2>h]", got)
	}
	s.want.Ladder = camera("qf")
	if got := fmt.Sprint(s.run(500, 2000)); got != "[q2>h]" {
		t.Errorf("%s when the largest has come, want [q2>h]", got)
	}
}

// A stopped encoding is asked for again where some of its frames fit, with a key frame: 208 and 43 kbit/s of a second.
func TestNextOfWhichSomeFits(t *testing.T) {
	for kbits, want := range map[int]string{240: "[q2]", 260: "[q2>h]"} {
		s := stepper{want: withOnly("q")}
		if got := fmt.Sprint(s.run(kbits, 2000)); got != want {
			t.Errorf("%d kbit/s: %s, want %s", kbits, got, want)
		}
	}
}

// Of what has come after it was waited for as much is taken as fits: 208 kbit/s of 260.
func TestNextAsMuchAsFits(t *testing.T) {
	s := stepper{want: withOnly("q")}
	s.run(260, 2000)
	s.want.Ladder = camera("qh")
	if got := fmt.Sprint(s.run(260, 100)); got != "[h2-2]" {
		t.Errorf("%s when it has come, want [h2-2]", got)
	}
	s = stepper{want: withOnly("q")}
	s.want.Ladder[1].Full = 350_000
	if got := fmt.Sprint(s.run(260, 2000)); got != "[q2]" {
		t.Errorf("%s is waited for that will not fit", got)
	}
}
