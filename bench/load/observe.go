package load

import (
	"fmt"
	"math"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/scenario"
	"github.com/bedside-video/bedside/signaling/wire"
)

// recent is what has become of a person's media since the sample before.
type recent struct {
	lost  uint64
	layer float64 // of what is watched, NaN for none
}

// recent adds the delays of what has arrived since the last call to delays.
func (p *person) recent(delays *hist.Histogram) recent {
	out := recent{layer: math.NaN()}
	g, ok := p.guest().(interface {
		Recent(delays *hist.Histogram) (uint64, []bench.Showing)
	})
	if !ok {
		return out
	}
	lost, showing := g.Recent(delays)
	p.mu.Lock()
	defer p.mu.Unlock()
	if lost >= p.lost {
		out.lost = lost - p.lost
	} else { // of another connection
		out.lost = lost
	}
	p.lost = lost
	for _, s := range showing {
		if s.Sender == p.watched.Sender && s.Source == p.watched.Source {
			out.layer = float64(s.Layer)
		}
	}
	return out
}

// watch follows the layer of the first pinned video of a layout, or else of the first.
func (p *person) watch(layout []scenario.Tile) {
	of := -1
	for i, t := range layout {
		if of < 0 || t.Pinned && !layout[of].Pinned {
			of = i
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watched = bench.Showing{}
	if of >= 0 {
		p.watched = bench.Showing{Sender: bench.SenderHash(p.run.find(p.room, layout[of].Of).id), Source: layout[of].Track}
	}
}

// observer is told by the person's client what happens.
func (p *person) observer() bench.Observer {
	return bench.Observer{Message: p.onMessage, Packet: p.onPacket, Connected: p.onConnected, Step: p.onStep}
}

func (p *person) onStep(now time.Time, s bench.Step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.ledger.attempts); n > 0 {
		p.ledger.attempts[n-1].steps[s] = now
	}
}

func (p *person) onConnected(_ time.Time, up bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected = up
}

func (p *person) onMessage(now time.Time, m wire.ServerMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m := m.(type) {
	case *wire.Joined:
		p.stand(now, m.State)
	case *wire.StateChanged:
		p.stand(now, m.State)
	case *wire.Ended:
		p.stand(now, "")
		p.connected = false
	}
}

// stand notes where the person stands; the caller holds mu.
func (p *person) stand(now time.Time, state wire.State) {
	if n := len(p.ledger.attempts); n > 0 && state == wire.StateAdmitted && p.ledger.attempts[n-1].admitted.IsZero() {
		p.ledger.attempts[n-1].admitted = now
	}
	p.where = state
}

// leaveLobby notes what came to somebody whom nobody had let in yet. The caller holds mu.
func (p *person) leaveLobby() {
	l := p.lobby
	p.lobby = lobby{}
	if l.packets > 0 {
		p.ledger.broken = append(p.ledger.broken, fmt.Sprintf("room %d: %s got %d packets of media before anybody let them in", p.room, p.ref, l.packets))
	}
}

func (p *person) onPacket(time.Time, bench.Arrival) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.where == wire.StateWaiting && !p.lobby.called {
		p.lobby.packets++
	}
}
