// Package hist counts durations so that quantiles of millions of them cost a few kilobytes. It is pure.
package hist

import (
	"math/bits"
	"time"
)

// The buckets are log-linear: each power of two has perBlock of them, so that a bucket is at most 1/64
// of its value wide and its middle at most 0.8 % off. Blocks are made when they are needed: delays of
// one network lie in about five.
const (
	perBlock   = 64
	blockBits  = 6
	blocks     = 36
	maxCounted = time.Duration(1)<<(blockBits+blocks-1) - 1 // 36 min; longer ones count as that
)

// Histogram is the distribution of durations. The zero value is empty and ready; it must not be copied
// once used. It is not safe for concurrent use.
type Histogram struct {
	count    uint64
	sum      float64 // nanoseconds
	min, max time.Duration
	blocks   [blocks]*[perBlock]uint64
}

// Add counts a duration. Negative ones, which come of clocks that differ, count as 0.
func (h *Histogram) Add(d time.Duration) { h.AddN(d, 1) }

// AddN counts a duration n times.
func (h *Histogram) AddN(d time.Duration, n uint64) {
	if n == 0 {
		return
	}
	d = min(max(d, 0), maxCounted)
	if h.count == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.count += n
	h.sum += float64(d) * float64(n)
	b, i := place(d)
	if h.blocks[b] == nil {
		h.blocks[b] = new([perBlock]uint64)
	}
	h.blocks[b][i] += n
}

// place returns the block and the bucket of d: block 0 counts nanoseconds exactly, block b from 1 on
// what lies between 2^(b+5) and 2^(b+6).
func place(d time.Duration) (block, bucket int) {
	shift := bits.Len64(uint64(d)) - blockBits - 1
	if shift < 0 {
		return 0, int(d)
	}
	return shift + 1, int(d>>shift) - perBlock
}

// bounds returns the lowest and the highest duration of a bucket.
func bounds(block, bucket int) (low, high time.Duration) {
	if block == 0 {
		return time.Duration(bucket), time.Duration(bucket)
	}
	shift := block - 1
	low = time.Duration(bucket+perBlock) << shift
	return low, low + 1<<shift - 1
}

// Merge adds all that another Histogram counted; nil adds nothing.
func (h *Histogram) Merge(other *Histogram) {
	if other == nil || other.count == 0 {
		return
	}
	if h.count == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	h.count += other.count
	h.sum += other.sum
	for b, from := range other.blocks {
		if from == nil {
			continue
		}
		if h.blocks[b] == nil {
			h.blocks[b] = new([perBlock]uint64)
		}
		for i, n := range from {
			h.blocks[b][i] += n
		}
	}
}

// Clone returns a copy that shares nothing; of nil it is an empty Histogram.
func (h *Histogram) Clone() *Histogram {
	out := new(Histogram)
	out.Merge(h)
	return out
}

// Reset forgets all durations, not the memory that they took.
func (h *Histogram) Reset() {
	h.count, h.sum, h.min, h.max = 0, 0, 0, 0
	for _, block := range h.blocks {
		if block != nil {
			*block = [perBlock]uint64{}
		}
	}
}

// Count returns how many durations were counted.
func (h *Histogram) Count() uint64 { return h.count }

// Min returns the shortest duration, 0 if there is none.
func (h *Histogram) Min() time.Duration { return h.min }

// Max returns the longest duration, 0 if there is none.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean returns the exact mean, 0 if there is none.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.count))
}

// Quantile returns the duration that a share of all, 0 to 1, did not exceed; 0 if there is none. It is
// at most 0.8 % off; the shortest and the longest are exact.
func (h *Histogram) Quantile(share float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := share * float64(h.count)
	switch {
	case rank <= 1:
		return h.min
	case rank > float64(h.count-1):
		return h.max
	}
	var seen uint64
	for b, block := range h.blocks {
		if block == nil {
			continue
		}
		for i, n := range block {
			seen += n
			if n > 0 && float64(seen) >= rank {
				low, high := bounds(b, i)
				return min(max(low+(high-low)/2, h.min), h.max)
			}
		}
	}
	return h.max
}
