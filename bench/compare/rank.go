package compare

import (
	"math"
	"slices"
)

// rankTest is the two-sided exact rank sum test (Wilcoxon, Mann and Whitney): how probable it is that
// two groups of one origin differ as much in their ranks as these do. Equal values share their ranks,
// and the distribution is that of the shared ranks.
func rankTest(a, b []float64) float64 {
	ranks, sum := doubled(a, b)
	total := 0
	for _, r := range ranks {
		total += r
	}
	// ways[k][s] is in how many ways k of the values have ranks that add up to s.
	ways := make([][]float64, len(a)+1)
	for k := range ways {
		ways[k] = make([]float64, total+1)
	}
	ways[0][0] = 1
	for i, r := range ranks {
		for k := min(i+1, len(a)); k >= 1; k-- {
			for s := total; s >= r; s-- {
				ways[k][s] += ways[k-1][s-r]
			}
		}
	}
	expected := float64(total) * float64(len(a)) / float64(len(ranks))
	off := math.Abs(float64(sum) - expected)
	var extreme, all float64
	for s, n := range ways[len(a)] {
		all += n
		if math.Abs(float64(s)-expected) >= off-1e-9 {
			extreme += n
		}
	}
	return extreme / all
}

// doubled returns twice the rank of every value, those that are equal sharing theirs, and the sum of
// a's.
func doubled(a, b []float64) (ranks []int, sum int) {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	for _, v := range all {
		ranks = append(ranks, shared(all, v))
	}
	for _, v := range a {
		sum += shared(all, v)
	}
	return ranks, sum
}

// shared is twice the mean rank of the values that equal v.
func shared(sorted []float64, v float64) int {
	first, _ := slices.BinarySearch(sorted, v)
	last := first
	for last+1 < len(sorted) && sorted[last+1] == v {
		last++
	}
	return first + last + 2
}
