package signaling

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/quality"
	"github.com/bedside-video/bedside/signaling/store"
)

// The largest history that there can be, of numbers that no compression helps, is one that the store
// takes, and the reader too.
func TestLargestReportFits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var line quality.Timeline
	begin := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	link := func() quality.Link {
		n := r.Uint64N(1 << 16)
		return quality.Link{Packets: n, Lost: r.Uint64N(n + 1), Repaired: r.Uint64N(n + 1), Jitter: time.Duration(r.Int64N(int64(time.Second)))}
	}
	for i := range 8192 {
		now, who := begin.Add(time.Duration(i/20)*quality.Width), string(rune('a'+i%20))+"_4fYp0n0m8dQvE0bqGxk3Vw"
		line.Measured(now, who, quality.Interval{Up: link(), Down: link(), Dropped: r.Uint64N(1000), RoundTrip: time.Duration(r.Int64N(int64(10 * time.Second)))})
		line.Told(now, who, quality.Heard{Samples: r.Uint64N(maxStat), Concealed: r.Uint64N(maxStat), Freezes: r.Uint64N(maxStat), Frozen: time.Duration(r.IntN(maxStat)) * time.Millisecond})
	}
	plain, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	kept := records{store.NewMap(10)}
	if _, err := kept.keepReport(context.Background(), "c", &line, 0); err != nil {
		t.Fatal(err)
	}
	e, err := kept.store.Get(context.Background(), bucketReports, "c")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("figure: the largest report has %d kB, %d kB as it is kept", len(plain)/1000, len(e.Value)/1000)
	if len(plain) > maxReportBytes {
		t.Errorf("%d bytes are not read again", len(plain))
	}
	back, err := kept.report(context.Background(), "c")
	if err != nil || !reflect.DeepEqual(back.Tracks, line.Tracks) {
		t.Errorf("what was kept is not what is read: %v", err)
	}
}

// A report that cannot be read is an error, not an empty one.
func TestBrokenReport(t *testing.T) {
	kept := records{store.NewMap(10)}
	if _, err := kept.store.Create(context.Background(), bucketReports, "c", []byte("not gzip")); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.report(context.Background(), "c"); err == nil {
		t.Error("it was read")
	}
}
