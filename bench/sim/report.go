package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/signaling/wire"
)

// report collects the outcome.
func (w *World) report() Report {
	r := Report{Violations: w.witness.verdict()}
	for _, ref := range w.refs {
		w.reportPerson(&r, w.people[ref])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Events = slices.Clone(w.events)
	// What happens to different people at one instant has no order.
	slices.SortStableFunc(r.Events, func(a, b Event) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Ref, b.Ref)) })
	return r
}

func (w *World) reportPerson(r *Report, p *person) {
	got := p.client.Report()
	for _, other := range w.refs {
		for _, source := range []wire.Source{wire.SourceMic, wire.SourceCamera, wire.SourceScreen} {
			f := got.Received(w.people[other].id, source)
			if f.Packets == 0 {
				continue
			}
			r.Subscriptions = append(r.Subscriptions, Subscription{
				Subscriber: p.Ref, Publisher: other, Source: source, Packets: f.Packets, Frames: f.Frames,
				First: f.First.Sub(w.start), Last: f.Last.Sub(w.start),
			})
		}
	}
	if got.EpochGaps != 0 {
		r.Violations = append(r.Violations, fmt.Sprintf("%d slots messages of %s were not in order", got.EpochGaps, p.Ref))
	}
	for _, s := range got.Slots {
		if s.Wrong != 0 || s.Continuity != (bench.Continuity{}) {
			r.Violations = append(r.Violations, fmt.Sprintf("slot %s of %s: %d packets of somebody else, %+v", s.Mid, p.Ref, s.Wrong, s.Continuity))
		}
	}
	down := p.host.Down()
	streams := p.client.Streams()
	for i, s := range streams {
		media, rtx := down[s.Media], down[s.RTX]
		if media.Sent == 0 {
			continue
		}
		r.Slots = append(r.Slots, SlotTraffic{
			Subscriber: p.Ref, Mid: s.Mid, Forwarded: media.Sent, Dropped: media.Dropped,
			Delivered: got.Slots[len(got.Slots)-len(streams)+i].Packets, Resent: rtx.Sent, ResentLost: rtx.Dropped,
		})
	}
}

// EventAt returns when an event first happened, 0 for never.
func (w *World) EventAt(ref, what string) time.Duration {
	return w.find(ref, what, slices.IndexFunc[[]Event])
}

// LastEventAt returns when an event last happened, 0 for never.
func (w *World) LastEventAt(ref, what string) time.Duration {
	return w.find(ref, what, func(all []Event, is func(Event) bool) int {
		for i := len(all) - 1; i >= 0; i-- {
			if is(all[i]) {
				return i
			}
		}
		return -1
	})
}

func (w *World) find(ref, what string, search func([]Event, func(Event) bool) int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := search(w.events, func(e Event) bool { return e.Ref == ref && e.What == what })
	if i < 0 {
		return 0
	}
	return w.events[i].At
}
