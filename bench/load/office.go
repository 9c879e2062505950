package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/client"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	// windows are how many requests to the API are on the way at once: a schedule is loaded in the
	// morning by one system, not by a thousand.
	windows = 4
	// spareTime is how much longer than the plan a consultation is open.
	spareTime = 10 * time.Minute
	// cleanTimeout bounds the cancelling of all consultations.
	cleanTimeout = time.Minute
)

// office is a Bedside as a Target: it opens and cancels the consultations of a run.
type office struct {
	api  *client.Client
	base string // URL
	name string // of the run: begins every external id
	now  func() time.Time
	// recording is the policy of all consultations; "" for the server's default, never.
	recording string

	seats []seat
	ids   []string // of the consultations, by room; "" where no answer came
}

// seat is a person's place in a consultation.
type seat struct{ id, invitation string }

// Bedside is the Target of a Bedside at base, an URL. name is this run's, unlike that of any other: rooms
// are found by it. The API key needs the scope consultations.
func Bedside(base, apiKey, name string, http *http.Client) (Target, error) {
	api, err := client.New(base, apiKey, client.Options{HTTP: http})
	if err != nil {
		return nil, err
	}
	return &office{api: api, base: base, name: name, now: time.Now}, nil
}

// BedsideRecording is a Bedside whose rooms may be recorded, for Config.Record. Its recorder must be on.
func BedsideRecording(base, apiKey, name string, http *http.Client) (Target, error) {
	t, err := Bedside(base, apiKey, name, http)
	if err == nil {
		t.(*office).recording = wire.PolicyAsk
	}
	return t, err
}

// ID implements Target.
func (o *office) ID(person int) string { return o.seats[person].id }

// Guest implements Target.
func (o *office) Guest(person int, cfg bench.Config) Guest {
	cfg.BaseURL, cfg.Invitation = o.base, o.seats[person].invitation
	return bench.New(cfg)
}

// Open implements Target: it opens the consultation of every room.
func (o *office) Open(ctx context.Context, s scenario.Scenario, p scenario.Plan) error {
	o.seats, o.ids = make([]seat, len(p.People)), make([]string, s.Rooms.Count)
	rooms := make([][]int, s.Rooms.Count)
	for i, one := range p.People {
		rooms[one.Room] = append(rooms[one.Room], i)
	}
	err := o.each(ctx, s.Rooms.Count, func(ctx context.Context, room int) error {
		c, err := o.api.Create(ctx, o.consultation(s, p, room, rooms[room]))
		if err != nil {
			return err
		}
		o.ids[room] = c.ID
		if len(c.Participants) != len(rooms[room]) {
			return fmt.Errorf("the server invited %d of %d people", len(c.Participants), len(rooms[room]))
		}
		for k, i := range rooms[room] {
			invitation, err := url.Parse(c.Participants[k].JoinURL)
			if err != nil || invitation.Fragment == "" {
				return errors.New("the server gave a link without an invitation")
			}
			o.seats[i] = seat{id: c.Participants[k].ID, invitation: invitation.Fragment}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("open the consultations: %w", err)
	}
	return nil
}

func (o *office) externalID(room int) string { return fmt.Sprintf("%s-%d", o.name, room) }

// consultation is what one room's people need. Everybody waits for a clinician, as in life.
func (o *office) consultation(s scenario.Scenario, p scenario.Plan, room int, people []int) client.NewConsultation {
	now := o.now()
	n := client.NewConsultation{
		ExternalID: o.externalID(room), Start: now, End: now.Add(p.End + spareTime), MaxParticipants: max(2, len(people)),
		Recording: o.recording,
	}
	patients := 0
	for _, i := range people {
		role := s.People[p.People[i].Group].Role
		if role == wire.RolePatient {
			patients++
		}
		n.Participants = append(n.Participants, client.NewParticipant{Ref: p.People[i].Ref, Role: role})
	}
	n.Group = patients > 1
	return n
}

// Close implements Target: it cancels the consultations, also when ctx has ended. Of a room whose answer
// never came the server says whether it was opened.
func (o *office) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	var mu sync.Mutex
	var failed []error
	unanswered := o.each(ctx, len(o.ids), func(ctx context.Context, i int) error {
		id := o.ids[i]
		if id == "" {
			c, err := o.api.Find(ctx, o.externalID(i))
			if errors.Is(err, client.ErrNotFound) {
				return nil
			} else if err != nil {
				return err // nobody answers: the next would not either
			}
			id = c.ID
		}
		if err := o.api.Cancel(ctx, id); err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
		}
		return nil
	})
	if unanswered != nil {
		failed = append(failed, unanswered)
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d consultations are still open: cancel: %w", len(failed), len(o.ids), failed[0])
	}
	return nil
}

// each calls do for 0 to n-1, a few at once, until one fails.
func (o *office) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	runWindow := func() {
		for i := range next {
			if err := do(ctx, i); err != nil {
				stop(err)
			}
		}
	}
	for range min(windows, n) {
		wg.Go(runWindow)
	}
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
