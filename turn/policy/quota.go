package policy

import "net/netip"

// Limits bound the allocations that exist at once.
type Limits struct {
	PerCredential int
	PerOwner      int // of one session, which gets new credentials all the time
	PerSource     int // of one IPv4 address or IPv6 /64: a hospital may be one
	Total         int
}

// Holder is whom an allocation counts for.
type Holder struct {
	Username, Owner string
	Source          netip.Prefix
}

// Quota counts allocations.
type Quota struct {
	limits  Limits
	total   int
	names   map[string]int // these three have as many entries as there are allocations at most
	owners  map[string]int
	sources map[netip.Prefix]int
}

// Verdict on one more allocation.
type Verdict uint8

// The verdicts. Exhausted is the holder's fault, Full the node's.
const (
	Granted Verdict = iota
	Exhausted
	Full
)

// NewQuota returns one of which nothing is used.
func NewQuota(l Limits) *Quota {
	return &Quota{limits: l, names: map[string]int{}, owners: map[string]int{}, sources: map[netip.Prefix]int{}}
}

// Take counts one more allocation if there may be one.
func (q *Quota) Take(h Holder) Verdict {
	l := &q.limits
	switch {
	case q.names[h.Username] >= l.PerCredential, q.owners[h.Owner] >= l.PerOwner, q.sources[h.Source] >= l.PerSource:
		return Exhausted
	case q.total >= l.Total:
		return Full
	}
	q.total++
	q.names[h.Username]++
	q.owners[h.Owner]++
	q.sources[h.Source]++
	return Granted
}

// Return counts one less.
func (q *Quota) Return(h Holder) {
	q.total--
	less(q.names, h.Username)
	less(q.owners, h.Owner)
	less(q.sources, h.Source)
}

// Total is how many there are.
func (q *Quota) Total() int { return q.total }

func less[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}
