package recording

import (
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording/seal"
	"github.com/bedside-video/bedside/sfu/codec"
)

// BenchmarkSealed is what recording costs from the packet to what is given to the disk, for each packet of forty people
// with a camera and a microphone whose recorder looks each 50 ms: all but waking up and system calls.
func BenchmarkSealed(b *testing.B) {
	began := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		b.Fatal(err)
	}
	var l looks
	l.begin(began)
	var all [40]*filmed
	for i := range all {
		f := newFilmed(began, &l)
		f.mic = &Track{person: f.person, source: codec.Mic, looks: &l}
		sealed, err := seal.NewWriter(io.MultiWriter(io.Discard, sha256.New()), identity.Recipient(), time.Second)
		if err != nil {
			b.Fatal(err)
		}
		f.person.part = &part{sealed: sealed}
		all[i] = f
	}
	var ours spares
	b.ReportAllocs()
	packets, now := 0, began
	for n := 0; b.Loop(); n++ {
		// 100 ms: three pictures, five packets of sound, two looks.
		for step := range 10 {
			now = now.Add(10 * time.Millisecond)
			for i, f := range all {
				if step == 0 || step == 3 || step == 7 {
					f.send(now)
					packets += 5
				}
				if step%2 == 0 {
					f.speak(now)
					packets++
				}
				if (step+i/4)%5 == 4 {
					full := f.person.exchange(&ours)
					if err := f.person.part.seal(full); err != nil {
						b.Fatal(err)
					}
					ours.keep(full)
					if _, err := f.person.part.flush(now); err != nil {
						b.Fatal(err)
					}
					f.person.part.sealed.Synced()
				}
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
}
