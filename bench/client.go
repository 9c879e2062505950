package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Client is one virtual participant. Its methods are safe for concurrent use; every one that takes a
// context waits for the server no longer than that.
type Client struct {
	cfg Config

	restarting sync.Mutex // one restart at a time

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when what await looks at has changed
	rng     *rand.Rand
	session *session
	conn    *connection
	past    Report  // accounts of connections that are gone
	gone    Traffic // likewise
	self    string
	resume  string
	state   wire.State
	roster  []wire.Participant
	policy  wire.Policy
	epoch   uint64 // of the last slots message of this session
	ended   string
	lost    bool // the current session's WebSocket is gone
	closed  bool
	readers sync.WaitGroup
}

// New returns a Client that has not joined. It must be closed.
func New(cfg Config) *Client {
	cfg = cfg.withDefaults()
	return &Client{cfg: cfg, changed: make(chan struct{}), rng: rand.New(rand.NewPCG(cfg.Seed, 0xbed51de))}
}

// Join exchanges the invitation, opens the WebSocket, joins and negotiates the media connection. It
// returns when the server's answer is applied; see Connected and Await for what follows. A refusal
// is a *RemoteError.
func (c *Client) Join(ctx context.Context) error {
	steps := c.steps()
	token, connect, err := exchange(ctx, c.cfg)
	if err != nil {
		return err
	}
	steps.reach(c.cfg.Clock.Now(), StepToken)
	return c.enter(ctx, steps, connect, &wire.Join{Token: token, Client: "bench"})
}

// Reconnect comes back with the resume token, after Drop or after the server was lost.
func (c *Client) Reconnect(ctx context.Context) error {
	c.mu.Lock()
	resume := c.resume
	c.mu.Unlock()
	return c.enter(ctx, c.steps(), "", &wire.Join{Resume: resume, Client: "bench"})
}

func (c *Client) steps() *milestones { return &milestones{tell: c.cfg.Observer.Step} }

// enter opens a session and negotiates.
func (c *Client) enter(ctx context.Context, steps *milestones, connect string, join *wire.Join) error {
	c.Drop() // what is left of a session before
	s, err := dial(ctx, c.cfg, connect)
	if err != nil {
		return err
	}
	steps.reach(c.cfg.Clock.Now(), StepSession)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		s.close()
		return ErrClosed
	}
	c.session, c.ended, c.epoch, c.lost = s, "", 0, false
	c.readers.Go(func() { s.runReader(func(m wire.ServerMessage, h wire.Header) { c.handle(s, m, h) }); c.lose(s) })
	c.mu.Unlock()
	reply, err := s.call(ctx, join)
	if err != nil {
		return err
	}
	joined, ok := reply.(*wire.Joined)
	if !ok {
		return fmt.Errorf("bench: join answered by %T", reply)
	}
	steps.reach(c.cfg.Clock.Now(), StepJoined)
	return c.negotiate(ctx, s, steps, joined)
}

// negotiate makes the PeerConnection of a session.
func (c *Client) negotiate(ctx context.Context, s *session, steps *milestones, joined *wire.Joined) error {
	conn, err := newConnection(c.cfg.Relay.through(c.cfg, joined.ICEServers), c.rng, steps, joined.Slots)
	if err != nil {
		return err
	}
	offer, err := conn.offer(false)
	if err != nil {
		conn.close()
		return err
	}
	c.mu.Lock()
	if c.closed || c.session != s {
		c.mu.Unlock()
		conn.close()
		return ErrClosed
	}
	c.conn = conn
	c.mu.Unlock()
	reply, err := s.call(ctx, offer)
	if err != nil {
		return err
	}
	answer, ok := reply.(*wire.Answer)
	if !ok {
		return fmt.Errorf("bench: offer answered by %T", reply)
	}
	steps.reach(c.cfg.Clock.Now(), StepAnswered)
	if err := conn.answer(answer.SDP); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.maySend()
	return nil
}

// maySend starts the media once it is allowed, and stops it while the participant is on hold, as a
// page that takes its tracks off the senders; the caller holds mu.
func (c *Client) maySend() {
	if c.conn == nil {
		return
	}
	may := c.state == wire.StateAdmitted || c.cfg.Defects.MediaInLobby
	if may {
		c.conn.startMedia(c.self)
	}
	c.conn.hold(!may)
}

// handle takes one message that the server sent in session s.
func (c *Client) handle(s *session, m wire.ServerMessage, h wire.Header) {
	c.mu.Lock()
	if c.session != s { // dropped: nobody is there to hear it
		c.mu.Unlock()
		return
	}
	c.cfg.Observer.Message(c.cfg.Clock.Now(), m)
	switch m := m.(type) {
	case *wire.Joined:
		c.self, c.state, c.roster, c.policy, c.resume = m.Self, m.State, m.Roster, m.Policy, m.Resume
	case *wire.StateChanged:
		c.state = m.State
		c.maySend()
	case *wire.Roster:
		c.roster = m.Participants
	case *wire.Resume:
		c.resume = m.Token
	case *wire.Slots:
		c.assign(m)
	case *wire.Layers:
		c.send(m)
	case *wire.Audio:
		c.speak(m)
	case *wire.Ended:
		c.ended = m.Reason
	case *wire.Restart:
		runRestart := func() { _ = c.Restart(context.Background()) } // it ends with the session
		c.readers.Go(runRestart)
	}
	c.announce()
	ended, conn := c.ended != "", c.conn
	c.mu.Unlock()
	if h.Re != 0 {
		s.deliver(h.Re, m)
	}
	if ended && conn != nil {
		conn.close() // as a page does, which then shows why
	}
}

// announce wakes those who await a change; the caller holds mu.
func (c *Client) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// lose notes that a session's WebSocket is gone.
func (c *Client) lose(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == s {
		c.lost = true
		c.announce()
	}
}

// assign passes a slots message to the slots; the caller holds mu.
func (c *Client) assign(m *wire.Slots) {
	if m.Epoch != c.epoch+1 {
		c.past.EpochGaps++
	}
	c.epoch = m.Epoch
	if c.conn == nil {
		return
	}
	now := c.cfg.Clock.Now()
	for _, a := range m.Assignments {
		s := c.conn.slot(a.Mid)
		if s == nil {
			continue
		}
		s.mu.Lock()
		s.receiver.Assign(now, a)
		s.mu.Unlock()
	}
	c.conn.poke()
}

// speak makes a voice be sent as the server asks, as a browser's SDK does; the caller holds mu.
func (c *Client) speak(m *wire.Audio) {
	if c.conn == nil {
		return
	}
	for _, p := range c.conn.pubs {
		if p.source == wire.SourceMic {
			p.heed(c.cfg.Clock.Now(), func() { p.ask(m.MaxBitrate, m.Ptime, m.Carry) })
		}
	}
}

// send makes a track send the encodings that somebody receives, as a browser's SDK does; the caller holds
// mu.
func (c *Client) send(m *wire.Layers) {
	if c.conn == nil || c.cfg.Defects.AllLayers {
		return
	}
	for _, p := range c.conn.pubs {
		if p.mid == m.Mid {
			p.heed(c.cfg.Clock.Now(), func() { p.setWanted(m.Active, m.MaxBitrate) })
		}
	}
}

// View is what a Client knows of the consultation.
type View struct {
	Self   string
	State  wire.State
	Roster []wire.Participant
	Policy wire.Policy
	Ended  string // reason of the ended message, "" before it
}

// View returns what the Client knows now.
func (c *Client) View() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view()
}

func (c *Client) view() View {
	return View{Self: c.self, State: c.state, Roster: slices.Clone(c.roster), Policy: c.policy, Ended: c.ended}
}

// Await waits until the Client's view satisfies ok. It returns ErrEnded when the WebSocket is lost
// before.
func (c *Client) Await(ctx context.Context, ok func(View) bool) error {
	for {
		c.mu.Lock()
		view, changed, lost := c.view(), c.changed, c.lost || c.session == nil
		c.mu.Unlock()
		if ok(view) {
			return nil
		}
		if lost {
			return ErrEnded
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Connected waits until the media connection is up.
func (c *Client) Connected(ctx context.Context) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return ErrClosed
	}
	return conn.connected(ctx)
}

// Call sends a message and waits for its reply. A refusal is a *RemoteError.
func (c *Client) Call(ctx context.Context, m wire.ClientMessage) (wire.ServerMessage, error) {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s == nil {
		return nil, ErrClosed
	}
	return s.call(ctx, m)
}

// SendRaw writes bytes as a WebSocket message, to see what the server makes of them.
func (c *Client) SendRaw(data []byte) error {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s == nil {
		return ErrClosed
	}
	return s.sendRaw(data)
}

// Drop loses the WebSocket and the media connection without a goodbye on the WebSocket. The Client
// can Reconnect.
func (c *Client) Drop() {
	c.mu.Lock()
	s, conn := c.session, c.conn
	c.session, c.conn = nil, nil
	c.mu.Unlock()
	if s != nil {
		s.close()
	}
	if conn != nil {
		conn.close()
	}
	c.readers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn != nil {
		conn.addTo(&c.past)
		c.gone.Add(conn.traffic())
	}
}

// Close ends the session without a message and waits for the Client's goroutines. It is idempotent.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.Drop()
}
