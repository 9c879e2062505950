package signaling

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/quality"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	measureInterval = 2 * time.Second
	figuresInterval = 10 * time.Second // of what clinicians are told: 20 people make two messages a second
	// figuresPeople bounds what grows with the square of the people, if many are clinicians: a hundred of them
	// would be told a thousand figures a second. Of more people than this clinicians are told figures of those
	// alone whose connection is not good.
	figuresPeople = 20
	maxStat       = 100_000_000 // 35 minutes of sound in one slot
)

// links is how good everybody's connection is, and was. The room's goroutine alone.
type links struct {
	meters map[string]*quality.Meter // of who is in the room, by participant
	told   map[*session]map[string]levels
	line   quality.Timeline
	next   time.Time // when clinicians are told figures
	report *reportKeeper
}

// levels are what a session was told of one participant; the zero value stands for both good.
type levels struct{ up, down quality.Level }

func newLinks(k *reportKeeper) links {
	return links{meters: make(map[string]*quality.Meter), told: make(map[*session]map[string]levels), report: k}
}

// measure looks at everybody's connection and tells those who are in the room.
func (r *room) measure() {
	if r.broken != nil || len(r.flowing) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), mediaTimeout)
	defer cancel()
	all, err := r.media.Measure(ctx)
	if err != nil {
		r.log.Warn("connections not measured", "error", err)
		return
	}
	all = slices.DeleteFunc(all, func(m sfu.Measure) bool { return !slices.Contains(r.flowing, m.Peer) })
	now := r.now()
	figures := !now.Before(r.links.next)
	if figures {
		r.links.next = now.Add(figuresInterval)
	}
	r.links.take(now, all, figures, r.rooms.server.metrics)
	if slow := r.tellLinks(figures); len(slow) > 0 {
		for _, s := range slow {
			r.lose(s, wire.EndedSlow)
		}
		r.settle()
	}
	r.links.report.keep(now, &r.links.line)
}

// take enters what was measured, of those who are in the room.
func (l *links) take(now time.Time, all []sfu.Measure, observe bool, metrics *metrics) {
	for id := range l.meters {
		if !slices.ContainsFunc(all, func(m sfu.Measure) bool { return m.Peer == id }) {
			delete(l.meters, id)
		}
	}
	for _, x := range all {
		m := l.meters[x.Peer]
		if m == nil {
			m = new(quality.Meter)
			l.meters[x.Peer] = m
		}
		up, down := m.Levels()
		i := m.Take(now, x.Sample)
		l.line.Measured(now, x.Peer, i)
		metrics.quality.count(i)
		is, isDown := m.Levels()
		metrics.quality.changed(quality.Uplink, up, is)
		metrics.quality.changed(quality.Downlink, down, isDown)
		if observe {
			metrics.quality.observe(m.Recent())
		}
	}
}

// tellLinks tells everybody in the room which levels have changed since they were told, and clinicians
// everybody's figures when they are due. It returns the sessions whose queue is full.
func (r *room) tellLinks(figures bool) (slow []*session) {
	l := &r.links
	for s := range l.told {
		if !slices.Contains(r.sessions, s) {
			delete(l.told, s)
		}
	}
	for _, s := range r.sessions {
		if !slices.Contains(r.flowing, s.participant) {
			continue
		}
		if l.told[s] == nil {
			l.told[s] = make(map[string]levels)
		}
		if !l.tell(s, r.flowing, figures && r.person(s.participant).Role == wire.RoleClinician) {
			slow = append(slow, s)
		}
	}
	return slow
}

// tell tells one session. It reports whether there was room in its queue.
func (l *links) tell(s *session, people []string, figures bool) bool {
	known := l.told[s]
	for _, id := range people {
		m := l.meters[id]
		if m == nil {
			delete(known, id)
			continue
		}
		var is levels
		if up, down := m.Levels(); up > quality.Good || down > quality.Good {
			is = levels{up, down}
		}
		figures := figures && (len(people) <= figuresPeople || is != levels{})
		if is == known[id] && !figures {
			continue
		}
		known[id] = is
		told := &wire.Quality{Participant: id, Uplink: linkLevel(is.up), Downlink: linkLevel(is.down)}
		if figures {
			told.Figures = figuresOf(m.Recent())
		}
		if !s.enqueue(told, 0) {
			return false
		}
	}
	return true
}

func linkLevel(l quality.Level) wire.LinkLevel {
	if l == quality.Unknown {
		return wire.LinkGood
	}
	return wire.LinkLevel(l.String())
}

func figuresOf(i quality.Interval) *wire.LinkFigures {
	return &wire.LinkFigures{
		UplinkLoss: share(i.Up.Loss()), DownlinkLoss: share(i.Down.Loss()), RoundTrip: int(i.RoundTrip.Milliseconds()),
	}
}

// share rounds a share to what can be told apart.
func share(x float64) float64 { return math.Round(x*1000) / 1000 }

// stats takes over what a client has played. What somebody tells who is not in the room is not wrong,
// only late: they have just been put on hold.
func (s *session) stats(ctx context.Context, m *wire.Stats) error {
	for _, n := range []int{m.Samples, m.Concealed, m.Freezes, m.Frozen} {
		if n < 0 || n > maxStat {
			return badMessage("stats: numbers from 0 to 100000000")
		}
	}
	if m.Concealed > m.Samples {
		return badMessage("stats: more samples are concealed than there were")
	}
	return s.room.do(ctx, func() { s.room.heard(s, m) })
}

// heard enters what a client has played.
func (r *room) heard(s *session, m *wire.Stats) {
	if r.current(s) != nil || !slices.Contains(r.flowing, s.participant) {
		return
	}
	h := quality.Heard{
		Samples: uint64(m.Samples), Concealed: uint64(m.Concealed),
		Freezes: uint64(m.Freezes), Frozen: time.Duration(m.Frozen) * time.Millisecond,
	}
	r.links.line.Told(r.now(), s.participant, h)
	r.rooms.server.metrics.quality.heard(h)
}
