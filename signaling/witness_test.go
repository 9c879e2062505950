package signaling_test

import (
	"context"
	"slices"
	"testing"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

// watchedAudit looks at the world at the instant a record is written.
type watchedAudit struct {
	signaling.Audit
	look func(audit.Event)
}

func (a *watchedAudit) Append(ctx context.Context, events ...audit.Event) error {
	for _, e := range events {
		a.look(e)
	}
	return a.Audit.Append(ctx, events...)
}

// TestWrittenAhead: when the record is written, what it tells of has not happened yet.
func TestWrittenAhead(t *testing.T) {
	watched := &watchedAudit{look: func(audit.Event) {}}
	change := func(_ *config.Signaling, d *signaling.Deps) { watched.Audit, d.Audit = d.Audit, watched }
	inWorld(t, change, func(w *world) {
		v := w.open(threePeople)
		var seen []audit.Name
		flows := func(id string) bool { return slices.Contains(w.media.flowing(v.ID), id) }
		watched.look = func(e audit.Event) {
			seen = append(seen, e.Name)
			before := map[audit.Name]func() bool{ // what holds before each of these
				audit.PersonJoined:   func() bool { return w.media.open() == 1 }, // the room alone
				audit.PersonWaiting:  func() bool { return w.media.open() == 2 },
				audit.PersonAdmitted: func() bool { return !flows(e.Subject.ID) },
				audit.PersonHeld:     func() bool { return flows(e.Subject.ID) },
				audit.PersonResumed:  func() bool { return !flows(e.Subject.ID) },
				audit.PersonRemoved:  func() bool { return w.media.open() == 3 },
			}[e.Name]
			if before != nil && !before() {
				t.Errorf("%s was written after it happened", e.Name)
			}
		}
		doctor, _ := v.enter(0), v.enter(1)
		id := v.Participants[1].ID
		doctor.wantAnswer("done", &wire.Admit{Participant: id}, 9)
		doctor.wantAnswer("done", &wire.Hold{Participant: id}, 10)
		doctor.wantAnswer("done", &wire.Unhold{Participant: id}, 11)
		doctor.wantAnswer("done", &wire.Remove{Participant: id}, 12)
		for _, name := range []audit.Name{audit.PersonJoined, audit.PersonWaiting, audit.PersonAdmitted, audit.PersonHeld, audit.PersonResumed, audit.PersonRemoved} {
			if !slices.Contains(seen, name) {
				t.Errorf("%s was not seen", name)
			}
		}
	})
}
