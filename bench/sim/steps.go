package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/signaling/wire"
)

// do carries out one step.
func (w *World) do(s Step) error {
	ctx, cancel := context.WithTimeout(w.ctx, stepPatient)
	defer cancel()
	switch s := s.(type) {
	case Join: // without a resume token: whoever it is has agreed to nothing
		return w.consent(s.Ref, false, func() error { return w.Client(s.Ref).Join(ctx) })
	case Consent:
		return w.consent(s.Ref, s.Decision == wire.ConsentGranted, func() error {
			_, err := w.Client(s.Ref).Call(ctx, &wire.Consent{Recording: s.Decision, Notice: notice})
			return err
		})
	case Record:
		call := func() error {
			_, err := w.Client(s.By).Call(ctx, &wire.Record{Action: s.Action})
			return err
		}
		if s.Action == wire.RecordRequest {
			return w.consent(s.By, true, call)
		}
		return call()
	case Connected:
		return w.Client(s.Ref).Connected(ctx)
	case Admit:
		return w.Client(s.By).Admit(ctx, w.ID(s.Who))
	case Refuse:
		_, err := w.Client(s.By).Call(ctx, &wire.Refuse{Participant: w.ID(s.Who)})
		return err
	case Remove:
		_, err := w.Client(s.By).Call(ctx, &wire.Remove{Participant: w.ID(s.Who)})
		return err
	case Hold:
		_, err := w.Client(s.By).Call(ctx, &wire.Hold{Participant: w.ID(s.Who)})
		return err
	case Unhold:
		_, err := w.Client(s.By).Call(ctx, &wire.Unhold{Participant: w.ID(s.Who)})
		return err
	case HandOver:
		return w.Client(s.By).HandOver(ctx, w.ID(s.To))
	case Restart:
		return w.restart()
	case Leave:
		return w.Client(s.Ref).Leave(ctx)
	case End:
		return w.Client(s.By).End(ctx)
	case Kill:
		w.kill(w.people[s.Ref])
	case Stall:
		w.witness.gone(w.people[s.Ref]) // what they have been told is no longer seen
		w.people[s.Ref].each((*Conn).Stall)
	case Blackhole:
		w.blackhole(w.people[s.Ref], s.For)
	case RestartICE:
		return w.Client(s.Ref).Restart(ctx)
	case Drop:
		w.witness.gone(w.people[s.Ref])
		w.Client(s.Ref).Drop()
	case Reconnect:
		w.witness.gone(w.people[s.Ref])
		return w.Client(s.Ref).Reconnect(ctx)
	case Mute:
		return w.Client(s.Ref).Mute(ctx, s.Source, s.Muted)
	case Share:
		return w.Client(s.Ref).Share(ctx, s.On)
	case Pass:
		Advance(s.For)
	case Do:
		return s.Func(w)
	case Play:
		return w.play(s)
	case Try:
		return w.try(s.Step)
	case Together:
		return w.together(s.Steps)
	default:
		return fmt.Errorf("sim: no such step")
	}
	return nil
}

// each does something to every connection that the person has ever opened.
func (p *person) each(do func(*Conn)) {
	p.mu.Lock()
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	for _, c := range conns {
		do(c)
	}
}

// try runs a step and forgives what a server may answer, and a client that is not there.
func (w *World) try(s Step) error {
	err := w.do(s)
	var refused *bench.RemoteError
	if errors.As(err, &refused) || errors.Is(err, bench.ErrClosed) || errors.Is(err, bench.ErrEnded) {
		return nil
	}
	return err
}

func (w *World) together(steps []Step) error {
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, s := range steps {
		runStep := func() { errs[i] = w.do(s) }
		wg.Go(runStep)
	}
	wg.Wait()
	return errors.Join(errs...)
}

// restart is what an upgrade is: everybody is told, the process ends, another one takes over.
func (w *World) restart() error {
	for _, ref := range w.refs {
		w.witness.gone(w.people[ref])
	}
	w.past += w.server.papers()
	w.broken += w.Metric("bedside_invariant_violations_total")
	w.server.close()
	w.listener.Wait()
	w.listener = NewListener(w.listener.Addr())
	w.record("", "server started again")
	return w.startServer()
}

func (w *World) blackhole(p *person, length time.Duration) {
	w.hole(p, true)
	Advance(length)
	w.hole(p, false)
}

// hole begins or ends a time without a network.
func (w *World) hole(p *person, on bool) {
	p.host.Cut(on)
	p.each(func(c *Conn) { c.Hold(on) })
	w.record(p.Ref, fmt.Sprintf("network: %t", !on))
}

// kill takes a machine off the network first, so that nothing that its client does on the way out is
// heard.
func (w *World) kill(p *person) {
	w.witness.gone(p)
	p.host.Cut(true)
	p.each((*Conn).Sever)
	p.client.Close()
	w.record(p.Ref, "killed")
}
