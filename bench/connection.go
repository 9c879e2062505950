package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/bedside-video/bedside/signaling/wire"
)

// connection is one media connection: what it publishes and receives, over a stack.
type connection struct {
	cfg   Config
	media stack
	pubs  []*publication
	slots []*slot // in the order of the m-lines; their mids are known when the offer is made
	wake  chan struct{}
	done  chan struct{} // closed by close
	up    chan struct{} // closed when connected
	rng   *rand.Rand
	steps *milestones

	lateness lateness
	planned  atomic.Int64 // when runFeedback will look again, Unix nanoseconds; 0 when it is woken

	mu      sync.Mutex // guards what follows, and wg.Go against wg.Wait
	started bool
	closed  bool
	upOnce  bool
	wg      sync.WaitGroup
}

func newConnection(cfg Config, rng *rand.Rand, steps *milestones, slots wire.SlotCount) (*connection, error) {
	c := &connection{
		cfg: cfg, rng: rng, steps: steps, wake: make(chan struct{}, 1), done: make(chan struct{}), up: make(chan struct{}),
	}
	c.addLines(slots)
	media, err := newStack(c)
	if err != nil {
		return nil, err
	}
	c.media = media
	return c, nil
}

func newStack(c *connection) (stack, error) {
	if c.cfg.Stack == Lean {
		return newLeanStack(c)
	}
	return newPionStack(c)
}

// addLines makes what the m-lines of the offer stand for: own tracks first, then slots, audio before
// video.
func (c *connection) addLines(slots wire.SlotCount) {
	stream := fmt.Sprintf("stream%08x", c.rng.Uint32())
	screenStream := stream + "s"
	if c.cfg.Stream != "" {
		stream, screenStream = c.cfg.Stream, c.cfg.Stream
	}
	m := c.cfg.Media
	if m.Mic != nil {
		c.pubs = append(c.pubs, newAudio(wire.SourceMic, m.Mic, stream, c.fork()))
	}
	if m.Camera != nil {
		c.pubs = append(c.pubs, newVideo(wire.SourceCamera, m.Camera, stream, c.fork()))
	}
	if m.Screen != nil {
		screen := newVideo(wire.SourceScreen, m.Screen, screenStream, c.fork())
		screen.hidden = true
		c.pubs = append(c.pubs, screen)
	}
	share := newSender(m.Uplink)
	for _, p := range c.pubs {
		p.sender = share
	}
	for range slots.Audio {
		c.slots = append(c.slots, newSlot(false, m.Repeat))
	}
	for range slots.Video {
		c.slots = append(c.slots, newSlot(true, false))
	}
}

// fork returns a generator of its own for a track, so that what one track draws changes no other.
func (c *connection) fork() *rand.Rand { return rand.New(rand.NewPCG(c.rng.Uint64(), c.rng.Uint64())) }

// offer makes the first offer, or that of an ICE restart.
func (c *connection) offer(restart bool) (*wire.Offer, error) {
	text, err := c.media.offer(restart)
	if err != nil {
		return nil, err
	}
	out := &wire.Offer{SDP: text}
	for _, p := range c.pubs {
		out.Tracks = append(out.Tracks, wire.Track{Mid: p.mid, Source: p.source})
	}
	return out, nil
}

// restarted applies the server's answer to a restart.
func (c *connection) restarted(sdp string) error { return c.media.answer(sdp) }

// answer applies the server's first answer and starts the feedback in both directions.
func (c *connection) answer(sdp string) error {
	if err := c.media.answer(sdp); err != nil {
		return err
	}
	c.goRun(c.runFeedback)
	return nil
}

// goRun starts a goroutine that close waits for.
func (c *connection) goRun(run func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(run)
	}
}

func (c *connection) slot(mid string) *slot {
	for _, s := range c.slots {
		if s.mid == mid {
			return s
		}
	}
	return nil
}

func (c *connection) publication(source wire.Source) *publication {
	for _, p := range c.pubs {
		if p.source == source {
			return p
		}
	}
	return nil
}

// setUp is told by the stack that the path is up, or given up.
func (c *connection) setUp(up bool) {
	if up {
		c.mu.Lock()
		first := !c.upOnce
		c.upOnce = true
		c.mu.Unlock()
		if first {
			c.steps.reach(c.cfg.Clock.Now(), StepConnected)
			close(c.up)
		}
	}
	c.cfg.Observer.Connected(c.cfg.Clock.Now(), up)
}

// connected waits until the connection is up.
func (c *connection) connected(ctx context.Context) error {
	select {
	case <-c.up:
		return nil
	case <-c.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the connection and waits for its goroutines.
func (c *connection) close() {
	c.mu.Lock()
	first := !c.closed
	if first {
		c.closed = true
		close(c.done)
	}
	c.mu.Unlock()
	if first {
		c.end()
	}
	c.media.close()
	c.wg.Wait()
}
