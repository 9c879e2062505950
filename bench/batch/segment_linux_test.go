//go:build amd64 || arm64

package batch

import "testing"

func FuzzSegmentSize(f *testing.F) {
	var control [controlSize]byte
	f.Add(putSegmentSize(control[:0], 1000))
	f.Add([]byte{20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 104, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 17, 0, 0, 0, 104, 0, 0, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, oob []byte) { segmentSize(oob) })
}

func TestSegmentSize(t *testing.T) {
	gro := []byte{20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 104, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0}
	if got := segmentSize(gro); got != 1000 {
		t.Errorf("%d, want 1000", got)
	}
	other := append([]byte(nil), gro...)
	other[12] = 7 // another message before it
	if got := segmentSize(append(other, gro...)); got != 1000 {
		t.Errorf("behind another message: %d, want 1000", got)
	}
	if got := segmentSize(other); got != 0 {
		t.Errorf("without it: %d", got)
	}
}
