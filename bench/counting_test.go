package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Who decrypts one packet of 16 counts what somebody counts who decrypts all: packets, loss, repair,
// frames, what could be shown and how long it stood still.
func TestCountingAgreesWithVerifying(t *testing.T) {
	for seed := range uint64(20) {
		for _, loss := range []float64{0, 0.002, 0.05} {
			t.Run(fmt.Sprintf("seed %d, loss %v", seed, loss), func(t *testing.T) {
				all, some := assigned(), assigned()
				play(seed, loss, all, some)
				a, b := all.Report(epoch().Add(time.Minute)), some.Report(epoch().Add(time.Minute))
				for _, x := range []struct {
					what      string
					want, got uint64
				}{
					{"packets", a.Packets, b.Packets},
					{"lost", a.Lost, b.Lost},
					{"repaired", a.Repaired, b.Repaired},
					{"duplicates", a.Duplicates, b.Duplicates},
					{"whole frames", a.Frames, b.Frames},
					{"decodable frames", a.Decodable, b.Decodable},
					{"wrong", a.Wrong, b.Wrong},
					{"untagged", a.Untagged, b.Untagged},
					{"bytes", a.Flows[0].Bytes, b.Flows[0].Bytes},
					{"packets of the flow", a.Flows[0].Packets, b.Flows[0].Packets},
					{"frames of the flow", a.Flows[0].Frames, b.Flows[0].Frames},
				} {
					if x.want != x.got {
						t.Errorf("%s: %d, and %d by counting", x.what, x.want, x.got)
					}
				}
				if a.LongestGap != b.LongestGap {
					t.Errorf("longest gap: %v, and %v by counting", a.LongestGap, b.LongestGap)
				}
				if b.Continuity != (Continuity{}) {
					t.Errorf("breaks by counting: %v", b.Continuity)
				}
				if loss == 0.05 && (a.Lost == 0 || a.Repaired == 0 || a.Decodable == a.Frames) {
					t.Errorf("nothing was to be seen: %+v", a)
				}
			})
		}
	}
}

// play passes a stream of 20 s to both, of which some packets are lost, of these most repaired 60 ms
// later; a key frame is there every two seconds.
func play(seed uint64, loss float64, all, some *Receiver) {
	rng := rand.New(rand.NewPCG(seed, 7))
	v := SimulcastCamera()
	v.FPS = 30
	var keys []int
	for i := 60; i < 600; i += 60 {
		keys = append(keys, i)
	}
	type arrival struct {
		at time.Time
		p  Inbound
	}
	var line []arrival
	for _, p := range stream(v, 600, keys...) {
		at := epoch().Add(time.Duration(p.Timestamp) * time.Second / (6000 * 30))
		p.Size = len(p.Payload) + 20
		if rng.Float64() >= loss {
			line = append(line, arrival{at, p})
		} else if rng.Float64() < 0.8 {
			p.Repaired = true
			line = append(line, arrival{at.Add(60 * time.Millisecond), p})
		}
	}
	for i := range line { // stable, and short
		for j := i; j > 0 && line[j].at.Before(line[j-1].at); j-- {
			line[j], line[j-1] = line[j-1], line[j]
		}
	}
	for n, a := range line {
		all.Feedback(a.at)
		all.Packet(a.at, a.p)
		some.Feedback(a.at)
		if a.p.Opaque = !a.p.Repaired && n%decryptEvery != 0 && !some.Wants(a.p.Sequence); a.p.Opaque {
			a.p.Payload = nil
		}
		some.Packet(a.at, a.p)
	}
}

// Another's packets in a slot are noticed within 16 packets, and from then on all are counted.
func TestCountingNoticesAnother(t *testing.T) {
	r := NewReceiver(true)
	r.Assign(epoch(), wire.Assignment{Mid: "5", Participant: "p2", Source: wire.SourceCamera, State: wire.SlotLive})
	packets := stream(Camera(), 100)
	var looked int
	for n, p := range packets {
		if p.Opaque = n%decryptEvery != 5 && !r.Wants(p.Sequence); p.Opaque {
			p.Payload = nil
		} else {
			looked++
		}
		r.Packet(epoch().Add(time.Duration(n)*10*time.Millisecond), p)
	}
	if looked < len(packets)-decryptEvery {
		t.Errorf("%d of %d packets of somebody else were looked into", looked, len(packets))
	}
}
