package audit

import "fmt"

// Problem is the first thing found wrong with a log. It is an ErrTampered.
type Problem struct {
	Index uint64 // the first record concerned
	Last  uint64 // the last one, if they cannot be told apart; else Index
	What  string
}

// Error names the record and what is wrong with it.
func (p *Problem) Error() string {
	if p.Last > p.Index {
		return fmt.Sprintf("%v: records %d to %d: %s", ErrTampered, p.Index, p.Last, p.What)
	}
	return fmt.Sprintf("%v: record %d: %s", ErrTampered, p.Index, p.What)
}

// Unwrap makes it an ErrTampered.
func (p *Problem) Unwrap() error { return ErrTampered }

func problem(index uint64, format string, args ...any) *Problem {
	return &Problem{Index: index, Last: index, What: fmt.Sprintf(format, args...)}
}

// among is problem for records that cannot be told apart: those from first up to before end.
func among(first, end uint64, format string, args ...any) *Problem {
	p := problem(first, format, args...)
	p.Last = max(end, first+1) - 1
	return p
}
