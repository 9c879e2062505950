package load_test

import (
	"slices"
	"testing"

	"github.com/bedside-video/bedside/bench/load"
)

func TestSearch(t *testing.T) {
	for _, tt := range []struct {
		name        string
		least, most int
		passes      int   // what is no larger passes
		unsound     int   // from here on the generator is the limit, 0 for never
		flaky       []int // these fail the first time
		tried       []int
		largest     int
		says        string
	}{
		{"all", 1, 5, 9, 0, nil, []int{1, 2, 4, 5}, 5, "5 met the objectives, the most that was asked for"},
		{"none", 3, 9, 2, 0, nil, []int{3, 3}, 0, "not even 3 met the objectives"},
		{"between", 1, 100, 21, 0, nil, []int{1, 2, 4, 8, 16, 32, 32, 24, 24, 20, 22, 22, 21}, 21, "21 met the objectives, 22 did not"},
		{"one size", 7, 7, 7, 0, nil, []int{7}, 7, "7 met the objectives, the most that was asked for"},
		{"a bad day", 1, 4, 4, 0, []int{2}, []int{1, 2, 2, 4}, 4, "4 met the objectives, the most that was asked for"},
		{"starved", 1, 100, 50, 16, nil, []int{1, 2, 4, 8, 16, 16}, 8, "8 met the objectives, then the generator was the limit at 16"},
		{"starved at once", 4, 100, 50, 1, nil, []int{4, 4}, 0, "the generator was the limit at 4: nothing is known"},
		{"just below the most", 1, 6, 5, 0, nil, []int{1, 2, 4, 6, 6, 5}, 5, "5 met the objectives, 6 did not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := load.NewSearch(tt.least, tt.most)
			var tried []int
			for n, ok := s.Next(); ok && len(tried) < 100; n, ok = s.Next() {
				first := !slices.Contains(tried, n)
				tried = append(tried, n)
				switch {
				case tt.unsound > 0 && n >= tt.unsound:
					s.Record(load.Unsound)
				case n > tt.passes || first && slices.Contains(tt.flaky, n):
					s.Record(load.Failed)
				default:
					s.Record(load.Passed)
				}
			}
			if !slices.Equal(tried, tt.tried) || s.Largest() != tt.largest || s.String() != tt.says {
				t.Errorf("tried %v, largest %d: %s; want %v, %d: %s", tried, s.Largest(), s, tt.tried, tt.largest, tt.says)
			}
		})
	}
}
