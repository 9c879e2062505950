package sfu

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/quality"
	"github.com/bedside-video/bedside/sfu/transport"
)

func (s *stage) measure(id string) quality.Sample {
	s.t.Helper()
	all, err := s.room.Measure(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(m Measure) bool { return m.Peer == id })
	if i < 0 {
		s.t.Fatalf("%s is not measured", id)
	}
	return all[i].Sample
}

// What a publisher's network loses is nobody else's loss.
func TestLossIsCountedWhereItArises(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		for range 8 {
			a.publish("c", "", keyFrame)
			a.seqs["c"]++ // one lost
			a.speak(100)
		}
		if got := s.measure("a").Up; got.Packets != 8+7+8 || got.Lost != 7 {
			t.Errorf("the publisher: %+v", got)
		}
		if got := s.measure("b"); got.Up != (quality.Totals{}) || got.Down != (quality.Totals{}) {
			t.Errorf("the subscriber: %+v", got)
		}
		b.RTCP(time.Now(), &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{
			{SSRC: 100, LastSequenceNumber: 1000, TotalLost: 3, Jitter: 480}, {SSRC: 103, LastSequenceNumber: 500, Jitter: 9000},
		}})
		if got, want := s.measure("b").Down, (quality.Totals{Jitter: 10 * time.Millisecond}); got != want {
			t.Errorf("after the first report: %+v, not %+v", got, want)
		}
		b.RTCP(time.Now(), &rtcp.SenderReport{Reports: []rtcp.ReceptionReport{
			{SSRC: 100, LastSequenceNumber: 1100, TotalLost: 8, Jitter: 960}, {SSRC: 103, LastSequenceNumber: 600, TotalLost: 1},
		}})
		if got, want := s.measure("b").Down, (quality.Totals{Packets: 200, Lost: 6, Jitter: 20 * time.Millisecond}); got != want {
			t.Errorf("after the second: %+v, not %+v", got, want)
		}
		if got := s.measure("a").Down; got.Packets != 0 {
			t.Errorf("the publisher receives nothing, but %+v", got)
		}
		s.advance(fresh)
		if got := s.measure("b").Down.Jitter; got != 0 {
			t.Errorf("a jitter of %v ago is still told: %v", fresh, got)
		}
	})
}

func TestReportsThatCannotBe(t *testing.T) {
	const first = 5000
	for _, c := range []struct {
		name           string
		highest, lost  uint32
		packets, wrong uint64
	}{
		{"plausible", first + 100, 7, 100, 5},
		{"more lost than sent", first + 10, 1000, 10, 10},
		{"fewer lost than before", first + 10, 1, 10, 0},
		{"a negative number of lost", first + 10, 0xffffff, 10, 0},
		{"back in time", first - 1, 2, 0, 0},
		{"far ahead", first + maxReported, 2, 0, 0},
		{"the same again", first, 2, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d delivered
			now := time.Now()
			d.report(now, rtcp.ReceptionReport{LastSequenceNumber: first, TotalLost: 2})
			d.report(now, rtcp.ReceptionReport{LastSequenceNumber: c.highest, TotalLost: c.lost})
			if d.packets != c.packets || d.missing != c.wrong {
				t.Errorf("%d packets, %d lost; not %d, %d", d.packets, d.missing, c.packets, c.wrong)
			}
		})
	}
}

// A number that was never sent is missing at the client, and yet not lost on the way to it.
func TestHolesAreNotLost(t *testing.T) {
	var d delivered
	now := time.Now()
	send := func(seqs ...uint16) {
		for _, s := range seqs {
			d.sent(s)
		}
	}
	send(65533, 65534)
	d.report(now, rtcp.ReceptionReport{LastSequenceNumber: 65534})
	send(65535, 1, 2, 3, 5) // without 0 and 4
	for _, c := range []struct {
		what             string
		highest, lost    uint32
		late             []uint16
		packets, missing uint64
	}{
		{"all of it has arrived", 1<<16 + 5, 2, nil, 5, 0},
		{"the same again", 1<<16 + 5, 2, nil, 5, 0},
		{"a repaired packet came late and was lost", 1<<16 + 5, 2, []uint16{4}, 6, 1},
		{"it has arrived after all", 1<<16 + 5, 1, nil, 6, 1},
		{"two more, one lost", 1<<16 + 7, 2, []uint16{6, 7}, 8, 1}, // that one was counted already
		{"two more, both lost", 1<<16 + 9, 4, []uint16{8, 9}, 10, 3},
	} {
		send(c.late...)
		d.report(now, rtcp.ReceptionReport{LastSequenceNumber: c.highest, TotalLost: c.lost})
		if d.packets != c.packets || d.missing != c.missing {
			t.Errorf("%s: %d of %d are missing, not %d of %d", c.what, d.missing, d.packets, c.missing, c.packets)
		}
	}
}

// A packet that could not be sent was lost in the server.
func TestFailedWritesAreTheServers(t *testing.T) {
	onStage(t, func(s *stage) {
		a, b := s.enter("a"), s.enter("b")
		s.admit("a", "b")
		a.publish("c", "", keyFrame)
		_, slots := b.media()
		for _, x := range slots {
			x.mu.Lock()
			x.out = broken{x.out}
			x.mu.Unlock()
		}
		for range 5 {
			a.publish("c", "", delta)
		}
		if got := s.measure("b").Dropped; got != 5 {
			t.Errorf("%d packets were dropped, not 5", got)
		}
	})
}

type broken struct{ outlet }

func (broken) Write(transport.Outgoing, []byte) error { return errors.New("no") }

func TestMeasureTellsTheConnection(t *testing.T) {
	onStage(t, func(s *stage) {
		a := s.enter("a")
		if !s.measure("a").Connected {
			t.Error("connected, but told otherwise")
		}
		a.become(transport.StateDisconnected)
		if s.measure("a").Connected {
			t.Error("disconnected, but told otherwise")
		}
		_ = s.room.Close()
		if _, err := s.room.Measure(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("of a closed room: %v", err)
		}
	})
}
