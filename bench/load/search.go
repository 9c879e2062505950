package load

import "fmt"

// Search finds the largest number that something holds for: it doubles from the smallest until that
// fails, and bisects between. It is pure; the caller does what Next says and tells Record how it went.
type Search struct {
	least, most int
	good        int // largest that passed, least-1 for none
	bad         int // smallest that failed, most+1 for none
	again       bool
	limited     int // where an invalid run ended the search, 0 for nowhere
}

// Outcome is how one step of a Search went.
type Outcome int

// The outcomes.
const (
	Passed  Outcome = iota
	Failed          // counts when it does not pass the second time
	Unsound         // the generator was the limit, likewise: nothing larger can be said either
)

// NewSearch returns a Search from least to most.
func NewSearch(least, most int) *Search {
	return &Search{least: least, most: most, good: least - 1, bad: most + 1}
}

// Next returns the number to try, false when the search is over.
func (s *Search) Next() (int, bool) {
	switch {
	case s.limited > 0 || s.bad-s.good <= 1:
		return 0, false
	case s.good < s.least:
		return s.least, true
	case s.bad > s.most: // nothing has failed yet
		return min(2*s.good, s.most), true
	}
	return s.good + (s.bad-s.good)/2, true
}

// Record notes how the number went that Next said last.
func (s *Search) Record(o Outcome) {
	n, ok := s.Next()
	if !ok {
		return
	}
	switch {
	case o == Passed:
		s.good, s.again = n, false
	case !s.again: // a bad moment of the machine is no limit
		s.again = true
	case o == Unsound:
		s.limited = n
	default:
		s.bad, s.again = n, false
	}
}

// Largest returns the largest number that passed, 0 for none.
func (s *Search) Largest() int {
	if s.good < s.least {
		return 0
	}
	return s.good
}

// Limited tells where the generator was the limit, 0 for nowhere.
func (s *Search) Limited() int { return s.limited }

// String says what the search came to.
func (s *Search) String() string {
	found := fmt.Sprintf("%d met the objectives", s.good)
	switch {
	case s.good < s.least && s.limited > 0:
		return fmt.Sprintf("the generator was the limit at %d: nothing is known", s.limited)
	case s.good < s.least:
		return fmt.Sprintf("not even %d met the objectives", s.least)
	case s.limited > 0:
		return fmt.Sprintf("%s, then the generator was the limit at %d", found, s.limited)
	case s.bad > s.most:
		return fmt.Sprintf("%s, the most that was asked for", found)
	}
	return fmt.Sprintf("%s, %d did not", found, s.bad)
}
