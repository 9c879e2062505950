package pace_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/pace"
)

// FuzzPacer does to a Pacer what bytes say: every packet that waits leaves once or is dropped, in the order of its
// class, and bytes are counted.
func FuzzPacer(f *testing.F) {
	f.Add([]byte{0, 10, 1, 200, 1, 200, 2, 90, 3, 5, 3, 50, 4, 0, 5, 1})
	f.Add([]byte{0, 0, 1, 255, 1, 255, 1, 255, 2, 255, 3, 255, 0, 255, 3, 1, 3, 255, 5, 0, 3, 255})
	f.Add([]byte{0, 1, 4, 255, 1, 1, 2, 1, 1, 1, 3, 200, 3, 200, 3, 200})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var p pace.Pacer[int]
		now, n := start, 0
		var queues [2][]int
		for ; len(ops) >= 2; ops = ops[2:] {
			x := int(ops[1])
			switch ops[0] % 6 {
			case 0:
				p.Rate(x * 10_000)
			case 1, 2:
				c := pace.Picture
				if ops[0]%6 == 2 {
					c = pace.Repair
				}
				if p.Pass(now, x*5+1) {
					if p.Waiting() {
						t.Fatal("a packet passes those that wait")
					}
					break
				}
				if n++; p.Put(now, c, n, x*5+1) {
					queues[c] = append(queues[c], n)
				}
			case 3:
				now = now.Add(time.Duration(x) * time.Millisecond)
				for _, got := range release(&p, now) {
					q := &queues[pace.Repair]
					if len(*q) == 0 {
						q = &queues[pace.Picture]
					}
					if len(*q) == 0 || (*q)[0] != got {
						t.Fatalf("%d leaves, %v wait", got, queues)
					}
					*q = (*q)[1:]
				}
			case 4:
				p.Spend(now, x*5)
			case 5:
				p.Drop(func(y *int) bool { return *y%4 == x%4 })
				for c := range queues {
					var rest []int
					for _, y := range queues[c] {
						if y%4 != x%4 {
							rest = append(rest, y)
						}
					}
					queues[c] = rest
				}
			}
			if want := len(queues[0])+len(queues[1]) > 0; p.Waiting() != want {
				t.Fatalf("waiting: %v, and %v do", p.Waiting(), queues)
			}
		}
		if late := release(&p, now.Add(pace.MaxWait)); len(late) != len(queues[0])+len(queues[1]) {
			t.Fatalf("%d leave after the longest wait, %v wait", len(late), queues)
		}
	})
}
