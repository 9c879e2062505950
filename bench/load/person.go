package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/linkem/link"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	// joinTimeout is how long somebody waits to come in, actionTimeout for anything else.
	joinTimeout   = 15 * time.Second
	actionTimeout = 10 * time.Second
	// lateAfter is how late an action must be to be counted.
	lateAfter = 100 * time.Millisecond
	// maxRefused bounds the list of one person's refusals; the others are counted in its last line.
	maxRefused = 20
)

var errNobodyThere = errors.New("load: whoever should do it is not there")

// person is one person of the plan: one goroutine, and one machine at a time.
type person struct {
	run   *run
	index int // of the plan
	room  int
	ref   string
	group *scenario.Group
	id    string // as the server knows them
	steps []step

	mu        sync.Mutex
	machine   *machine   // nil before the first join
	past      []*machine // that were killed
	up, down  link.Shape
	layout    []scenario.Tile
	ledger    ledger
	connected bool // with a media connection
	where     wire.State
	lobby     lobby
	watched   bench.Showing // Layer apart
	lost      uint64        // when last asked
}

// ledger is what somebody has done, and what became of it.
type ledger struct {
	attempts []attempt
	refused  []string
	late     uint64   // actions
	broken   []string // promises of the server
}

// lobby watches that nothing comes to who waits. It goes by when the clinician asked for them: their own
// client may read that they are in later than the media that comes then.
type lobby struct {
	called  bool // a clinician has asked
	packets uint64
}

// runActions does everything when its time has come. The machine is left as it is.
func (p *person) runActions(ctx context.Context, start time.Time) {
	out := true // not in, by no fault of the plan: what follows can only fail
	for _, s := range p.steps {
		if !p.run.wait(ctx, start.Add(s.At)) {
			return
		}
		comesIn := s.Do == scenario.Join || s.Do == scenario.Reconnect
		if out && !comesIn && s.Do != scenario.SetLink {
			continue
		}
		if p.run.clock.Now().Sub(start.Add(s.At)) > lateAfter {
			p.mu.Lock()
			p.ledger.late++
			p.mu.Unlock()
		}
		err := p.do(ctx, s)
		if ctx.Err() != nil {
			return
		}
		switch {
		case comesIn:
			out = err != nil
		case err != nil:
			p.refuse(s.Do, err)
		}
	}
}

func (p *person) refuse(do scenario.Verb, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ledger.refused) < maxRefused {
		p.ledger.refused = append(p.ledger.refused, fmt.Sprintf("%s: %s", do, code(err)))
	}
}

// do carries out one step.
func (p *person) do(ctx context.Context, s step) error {
	limit := actionTimeout
	if s.Do == scenario.Join || s.Do == scenario.Reconnect {
		limit = joinTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	switch s.Do {
	case scenario.Join, scenario.Reconnect:
		return p.enter(ctx, s.Do == scenario.Reconnect)
	case scenario.SetLink:
		return p.setLink(s.Up, s.Down)
	case scenario.Kill:
		p.kill()
		return nil
	case scenario.Admit:
		return p.beAdmitted(ctx, p.run.people[s.other])
	}
	guest := p.guest()
	if guest == nil {
		return errNobodyThere
	}
	switch s.Do {
	case scenario.Leave:
		return p.leave(ctx, guest)
	case scenario.Drop:
		guest.Drop()
		return p.gone(nil)
	}
	c, ok := guest.(*bench.Client)
	if !ok {
		return nil // a server without rooms knows nothing of the rest
	}
	switch s.Do {
	case scenario.End:
		return p.gone(c.End(ctx))
	case scenario.Mute, scenario.Unmute:
		return c.Mute(ctx, s.Track, s.Do == scenario.Mute)
	case scenario.Share, scenario.Unshare:
		return c.Share(ctx, s.Do == scenario.Share)
	case scenario.SetLayout:
		p.mu.Lock()
		p.layout = s.Layout
		p.mu.Unlock()
		return p.show(ctx, c)
	}
	return p.command(ctx, c, s)
}

// command is what a clinician does to others.
func (p *person) command(ctx context.Context, c *bench.Client, s step) error {
	if s.other == nobody {
		return fmt.Errorf("load: internal error: %s of nobody", s.Do)
	}
	whom := p.run.people[s.other].id
	var m wire.ClientMessage
	switch s.Do {
	case scenario.Hold:
		m = &wire.Hold{Participant: whom}
	case scenario.Unhold:
		m = &wire.Unhold{Participant: whom}
	case scenario.Remove:
		m = &wire.Remove{Participant: whom}
	case scenario.HandOver:
		return p.gone(c.HandOver(ctx, whom))
	default:
		return fmt.Errorf("load: internal error: no verb %s", s.Do)
	}
	_, err := c.Call(ctx, m)
	return err
}

// enter joins or reconnects, and shows what the person shows if they are in the room then.
func (p *person) enter(ctx context.Context, again bool) error {
	guest := p.sitDown()
	p.mu.Lock()
	n := len(p.ledger.attempts)
	p.leaveLobby()
	p.where = ""
	p.ledger.attempts = append(p.ledger.attempts, attempt{begun: p.run.clock.Now(), reconnect: again})
	p.mu.Unlock()
	join := guest.Join
	if c, ok := guest.(*bench.Client); ok && again {
		join = c.Reconnect
	}
	err := join(ctx)
	if err == nil {
		err = guest.Connected(ctx)
	}
	p.mu.Lock()
	p.ledger.attempts[n].over, p.ledger.attempts[n].err = !errors.Is(err, context.Canceled), err
	p.mu.Unlock()
	if err != nil {
		guest.Drop()
		return err
	}
	if c, ok := guest.(*bench.Client); ok {
		p.arrive(ctx, c)
	}
	return nil
}

// arrive shows what somebody who walks in shows. A clinician is not let in, but is told so a moment
// after the join.
func (p *person) arrive(ctx context.Context, c *bench.Client) {
	if p.group.Role == wire.RoleClinician {
		if err := c.Await(ctx, admitted); err != nil && ctx.Err() == nil {
			p.refuse("enter", err)
		}
	}
	if err := p.show(ctx, c); err != nil && ctx.Err() == nil {
		p.refuse(scenario.SetLayout, err)
	}
	if err := p.adapt(c); err != nil && ctx.Err() == nil {
		p.refuse("adapt", err)
	}
	if p.run.cfg.Record {
		if err := p.beRecorded(ctx, c); err != nil && ctx.Err() == nil {
			p.refuse("record", err)
		}
	}
}

// beRecorded agrees to being recorded, and asks for it if that is up to this person. Those who come later
// pause it until they have agreed, too.
func (p *person) beRecorded(ctx context.Context, c *bench.Client) error {
	_, err := c.Call(ctx, &wire.Consent{Recording: wire.ConsentGranted, Notice: c.View().Policy.Notice})
	if err == nil && p == p.run.recorder(p.room) {
		_, err = c.Call(ctx, &wire.Record{Action: wire.RecordRequest})
	}
	return err
}

// leave says goodbye, or goes without where nobody would hear it.
func (p *person) leave(ctx context.Context, guest Guest) error {
	if g, ok := guest.(interface{ Leave(context.Context) error }); ok {
		return p.gone(g.Leave(ctx))
	}
	guest.Drop()
	return p.gone(nil)
}

// sitDown returns the person's Guest, a new one if there is none.
func (p *person) sitDown() Guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.machine == nil {
		p.machine = p.run.newMachine(p, p.up, p.down, len(p.past))
	}
	return p.machine.guest
}

// beAdmitted is let in by a clinician.
func (p *person) beAdmitted(ctx context.Context, by *person) error {
	mine, theirs := p.guest(), by.guest()
	if mine == nil || theirs == nil {
		return errNobodyThere
	}
	c, ok := mine.(*bench.Client)
	clinician, both := theirs.(*bench.Client)
	if !ok || !both {
		return nil // a server without a lobby
	}
	p.call(true)
	if err := clinician.Admit(ctx, p.id); err != nil {
		p.call(false)
		return err
	}
	if err := c.Await(ctx, admitted); err != nil {
		return err
	}
	return p.show(ctx, c)
}

// call notes whether a clinician has asked for the person.
func (p *person) call(called bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lobby.called = called
}

func admitted(v bench.View) bool { return v.State == wire.StateAdmitted }

// show sends the layout of who is in the room and has one.
func (p *person) show(ctx context.Context, c *bench.Client) error {
	p.mu.Lock()
	layout := p.layout
	p.mu.Unlock()
	if layout == nil || c.View().State != wire.StateAdmitted {
		return nil
	}
	m := &wire.Layout{Tiles: []wire.Tile{}}
	for _, t := range layout {
		m.Tiles = append(m.Tiles, wire.Tile{
			Participant: p.run.find(p.room, t.Of).id, Source: t.Track, Width: t.Width, Height: t.Height, Pinned: t.Pinned,
		})
	}
	p.watch(layout)
	_, err := c.Call(ctx, m)
	return err
}

// guest returns the Guest of a machine that is there, or nil.
func (p *person) guest() Guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.machine == nil {
		return nil
	}
	return p.machine.guest
}

// gone notes that the person is no longer in the room.
func (p *person) gone(err error) error {
	if err == nil {
		p.mu.Lock()
		p.connected = false
		p.mu.Unlock()
	}
	return err
}

func (p *person) kill() {
	p.mu.Lock()
	m := p.machine
	p.machine, p.connected = nil, false
	if m != nil {
		p.past = append(p.past, m)
	}
	p.mu.Unlock()
	if m != nil {
		m.kill(p.run.alive, &p.run.burials)
	}
}

func (p *person) setLink(up, down *link.Shape) error {
	p.mu.Lock()
	m := p.machine
	if up != nil {
		p.up = *up
	}
	if down != nil {
		p.down = *down
	}
	connected := p.connected
	p.mu.Unlock()
	if m == nil {
		return nil
	}
	if err := m.set(up, down); err != nil {
		return err
	}
	if c, ok := m.guest.(*bench.Client); ok && connected {
		return p.adapt(c)
	}
	return nil
}

// close ends what the person left open.
func (p *person) close() {
	p.mu.Lock()
	m := p.machine
	p.mu.Unlock()
	if m != nil {
		m.guest.Close()
	}
}

// guests returns all the Guests that the person had.
func (p *person) guests() []Guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Guest
	for _, m := range p.past {
		out = append(out, m.guest)
	}
	if p.machine != nil {
		out = append(out, p.machine.guest)
	}
	return out
}
