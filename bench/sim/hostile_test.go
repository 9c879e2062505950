package sim_test

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/bench/sim"
	"github.com/bedside-video/bedside/signaling/wire"
)

// inCall is a doctor, a patient and an interpreter who have been talking for three seconds.
func inCall(steps ...sim.Step) sim.Plan {
	return sim.Plan{Seed: 13, MaxParticipants: 4, People: three(), Steps: append([]sim.Step{
		sim.Join{Ref: "doctor"}, sim.Connected{Ref: "doctor"},
		sim.Join{Ref: "patient"}, sim.Connected{Ref: "patient"}, sim.Admit{By: "doctor", Who: "patient"},
		sim.Join{Ref: "voice"}, sim.Connected{Ref: "voice"}, sim.Admit{By: "doctor", Who: "voice"},
		sim.Pass{For: 3 * time.Second},
	}, steps...)}
}

// unaffected fails when doctor and patient lost a frame or a syllable of each other.
func unaffected(t *testing.T, w *sim.World) {
	t.Helper()
	for _, pair := range [][2]string{{"doctor", "patient"}, {"patient", "doctor"}} {
		s, _ := camera(t, w, pair[0], pair[1])
		smooth(t, s, 100*time.Millisecond)
		mic := w.Client(pair[0]).Report().Received(w.ID(pair[1]), wire.SourceMic)
		if silent := w.Elapsed() - w.Since(mic.Last); silent > 100*time.Millisecond {
			t.Errorf("%s has not heard %s for %v", pair[0], pair[1], silent)
		}
	}
}

func server() netip.AddrPort { return netip.MustParseAddrPort("10.0.0.1:8443") }

// A participant who sends on 100,000 streams is put out of the session within a second, and nobody
// else notices.
func TestFloodOfStreams(t *testing.T) {
	var began, ended time.Duration
	p := inCall(sim.Do{Name: "flood", Func: func(w *sim.World) error {
		began = w.Elapsed()
		for range 100 {
			if err := w.Client("voice").Flood(1000); err != nil {
				break // the connection is gone
			}
			sim.Advance(10 * time.Millisecond)
		}
		return nil
	}}, sim.Pass{For: 3 * time.Second})
	check(t, p, func(w *sim.World) {
		unaffected(t, w)
		if r := w.Client("voice").Report(); r.Ended != wire.EndedSSRCLimit {
			t.Errorf("the session ended with %q", r.Ended)
		}
		ended = w.EventAt("voice", "ended "+wire.EndedSSRCLimit)
		if took := ended - began; took > time.Second {
			t.Errorf("it took %v", took)
		}
		t.Logf("figure: ended %v after the first packet", ended-began)
	})
}

// Reports and requests that name 12,000 streams nobody ever sent: nothing is kept of them, and nobody
// notices, not even the session that sends them.
func TestFeedbackForUnknownStreams(t *testing.T) {
	var goroutines int
	p := inCall(sim.Do{Name: "forge", Func: func(w *sim.World) error {
		goroutines = runtime.NumGoroutine()
		for i := range uint32(1000) {
			report := &rtcp.ReceiverReport{SSRC: 1}
			for k := range uint32(10) {
				report.Reports = append(report.Reports, rtcp.ReceptionReport{SSRC: 1e6 + i*10 + k})
			}
			if err := w.Client("voice").Forge([]rtcp.Packet{
				report,
				&rtcp.PictureLossIndication{MediaSSRC: 2e6 + i},
				&rtcp.TransportLayerNack{MediaSSRC: 3e6 + i, Nacks: []rtcp.NackPair{{PacketID: 7, LostPackets: 0xffff}}},
			}); err != nil {
				return err
			}
			sim.Advance(time.Millisecond)
		}
		return nil
	}}, sim.Pass{For: 3 * time.Second})
	check(t, p, func(w *sim.World) {
		unaffected(t, w)
		if r := w.Client("voice").Report(); r.Ended != "" {
			t.Errorf("the session ended with %q", r.Ended)
		}
		if now := runtime.NumGoroutine(); now > goroutines {
			t.Errorf("%d goroutines before, %d after", goroutines, now)
		}
	})
}

// RFC 6347 section 4.1.2.7: invalid records are to be discarded silently. pion answers some of these
// with a genuine fatal alert, which ends the call: one datagram with a forged source address did.
func TestForgedDatagrams(t *testing.T) {
	record := func(typ byte, epoch uint16, body ...byte) []byte {
		return append([]byte{typ, 0xfe, 0xfd, byte(epoch >> 8), byte(epoch), 0, 0, 0, 0, 0, 9, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"application data of epoch 0", record(23, 0, 1, 2, 3, 4, 5)},
		{"an alert of epoch 0, fatal", record(21, 0, 2, 40)},
		{"close_notify of epoch 0", record(21, 0, 1, 0)},
		{"change cipher spec with a wrong body", record(20, 0, 7)},
		{"change cipher spec that is too long", record(20, 0, 1, 1)},
		{"change cipher spec, well formed", record(20, 0, 1)},
		{"an unknown content type", record(24, 0, 1)},
		{"the last content type of the range", record(63, 0, 1, 2)},
		{"a record of epoch 1 that does not decrypt", record(23, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25)},
		{"a handshake of epoch 1 that does not decrypt", record(22, 1, make([]byte, 60)...)},
		{"a record of epoch 2", record(22, 2, 1, 2, 3)},
		{"a record longer than its datagram", record(22, 0, 1)[:13]},
		{"a client hello cut short", record(22, 0, 1, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 40, 0xfe, 0xfd)},
		{"two records, the second of epoch 0 application data", append(record(22, 1, make([]byte, 40)...), record(23, 0, 1)...)},
		{"a record of no bytes", record(22, 0)},
		{"one byte of DTLS", []byte{22}},
		{"a STUN binding without attributes", append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)},
		{"RTP that does not authenticate", append([]byte{0x80, 96, 0, 1}, make([]byte, 60)...)},
		{"RTCP that does not authenticate", append([]byte{0x80, 201, 0, 1}, make([]byte, 60)...)},
		{"a TURN channel message", []byte{0x40, 0, 0, 4, 1, 2, 3, 4}},
		{"nothing", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := inCall(sim.Do{Name: "inject", Func: func(w *sim.World) error {
				for range 3 {
					for _, from := range w.Host("patient").Sockets() {
						w.Network().Inject(from, server(), tt.data)
					}
					sim.Advance(100 * time.Millisecond)
				}
				return nil
			}}, sim.Pass{For: 2 * time.Second})
			check(t, p, func(w *sim.World) {
				unaffected(t, w)
				if ended := w.Client("patient").Report().Ended; ended != "" {
					t.Errorf("the session ended with %q", ended)
				}
			})
		})
	}
}

// A tab that is killed says nothing. Its media is missed after 12 s (the ICE checks stop), its
// WebSocket after two pings, and its place is kept for a minute.
func TestKilledTab(t *testing.T) {
	var killed time.Duration
	p := inCall(sim.Do{Name: "note", Func: func(w *sim.World) error { killed = w.Elapsed(); return nil }},
		sim.Kill{Ref: "voice"}, sim.Pass{For: 3 * time.Minute})
	check(t, p, func(w *sim.World) {
		unaffected(t, w)
		emptied := w.LastEventAt("doctor", "slots 3=//empty 6=//empty") - killed
		missed := w.LastEventAt("doctor", "roster doctor patient voice!") - killed
		gone := w.LastEventAt("doctor", "roster doctor patient") - killed
		t.Logf("figure: slots emptied after %v, disconnected after %v, gone after %v", emptied, missed, gone)
		if emptied <= 0 || emptied > 15*time.Second {
			t.Errorf("the slots were emptied after %v", emptied)
		}
		if missed <= 0 || missed > 45*time.Second {
			t.Errorf("the others were told after %v", missed)
		}
		if gone-missed != time.Minute {
			t.Errorf("the place was kept for %v", gone-missed)
		}
	})
}

// A client that reads its messages no more is disconnected; nobody waits for it, and it is told
// nothing that the others do not know of.
func TestStalledClient(t *testing.T) {
	var stalled time.Duration
	steps := []sim.Step{
		sim.Do{Name: "note", Func: func(w *sim.World) error { stalled = w.Elapsed(); return nil }},
		sim.Stall{Ref: "voice"},
	}
	for i := range 40 {
		steps = append(steps, sim.Mute{Ref: "doctor", Source: wire.SourceMic, Muted: i%2 == 0}, sim.Pass{For: 250 * time.Millisecond})
	}
	check(t, inCall(steps...), func(w *sim.World) {
		s, _ := camera(t, w, "patient", "doctor")
		smooth(t, s, 100*time.Millisecond)
		lost := w.EventAt("doctor", "roster doctor patient voice!") - stalled
		t.Logf("given up after %v", lost)
		if lost <= 0 || lost > 10*time.Second {
			t.Errorf("given up after %v", lost)
		}
	})
}
