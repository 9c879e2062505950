package transport

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/twcc"
)

// codecs is the length of an array indexed by codec.Name.
const codecs = int(codec.H264) + 1

// State of a connection.
type State uint8

// The states. Failed is final.
const (
	StateNew State = iota
	StateConnected
	StateDisconnected
	StateFailed
)

// ErrClosed tells that the connection has been closed.
var ErrClosed = errors.New("transport: closed")

// Handler is told what happens on a Conn. Its methods must not call Answer or Close of the Conn.
type Handler interface {
	// Open is asked once for each encoding before its first packet, on the goroutine that then
	// calls the Sink. nil refuses the encoding: its packets are dropped.
	Open(mid, rid string) Sink
	// RTCP hands over one packet of a compound. Calls do not overlap, nor with those of a Sink.
	RTCP(now time.Time, p rtcp.Packet)
	// Feedback hands over another, as RTCP does; f is valid until it returns.
	Feedback(now time.Time, f *twcc.Feedback)
	// StateChanged tells that State may return something else now.
	StateChanged()
	// TooManyStreams tells that the client sends more SSRCs than the limit; no more are read.
	TooManyStreams()
}

// Sink takes the packets of one encoding.
type Sink interface {
	// RTP hands over one packet; p is valid until RTP returns. Its payload has been parsed as c.
	// repaired tells that it came as a retransmission (RFC 4588). Calls do not overlap. Its payload stays
	// valid until Flush, unless it is audio.
	RTP(now time.Time, c codec.Name, p *codec.Packet, repaired bool)
	// Flush ends a burst in which there was RTP.
	Flush()
}

// Conn is one participant's connection. The client always offers, Answer answers.
type Conn struct {
	engine      *Engine
	handler     Handler
	association *association

	path        atomic.Pointer[netip.AddrPort] // where to send; nil before the first check
	heard       atomic.Int64                   // the client, last: Unix nanoseconds
	established atomic.Bool                    // the keys are there
	broken      atomic.Bool                    // for good
	changed     chan struct{}                  // capacity 1: established or broken
	done        chan struct{}
	ending      context.Context // ends with done
	end         context.CancelFunc
	running     sync.WaitGroup

	negotiation negotiation

	mu          sync.Mutex
	closed      bool
	generations []*generation // the one in use, and the next until it is proven
	dtls        *dtls.Conn    // nil before the handshake is done

	in  inbound
	out outbound
}

// negotiation is what the answers so far have settled. One Answer runs at a time.
type negotiation struct {
	mu      sync.Mutex
	ufrag   string // the client's, to notice an ICE restart
	session uint32 // of the answers' o= line
	version uint32 // likewise
	current *generation
	slots   []*Slot // in the order of m-lines
	ssrcs   map[uint32]bool
}

// Open makes a connection that waits for its first offer.
func (e *Engine) Open(h Handler) (*Conn, error) {
	c := &Conn{engine: e, handler: h, changed: make(chan struct{}, 1), done: make(chan struct{})}
	c.ending, c.end = context.WithCancel(context.Background())
	c.association = newAssociation(c)
	c.negotiation.ssrcs = map[uint32]bool{}
	c.in.init(c)
	return c, nil
}

// State of the connection now.
func (c *Conn) State() State {
	silence := c.silence()
	switch {
	case c.broken.Load():
		return StateFailed
	case c.heard.Load() == 0:
		return StateNew // nothing has been offered
	case silence >= silenceFailed:
		c.broken.Store(true)
		return StateFailed
	case !c.established.Load():
		return StateNew
	case silence >= silenceDisconnected:
		return StateDisconnected
	}
	return StateConnected
}

func (c *Conn) setEstablished() {
	c.hear()
	c.established.Store(true)
	c.lookAgain()
}

func (c *Conn) setBroken() {
	c.broken.Store(true)
	c.lookAgain()
}

// lookAgain wakes runWatch.
func (c *Conn) lookAgain() {
	select {
	case c.changed <- struct{}{}:
	default: // it will look anyway
	}
}

// Negotiation is the outcome of one offer.
type Negotiation struct {
	SDP   string  // the answer
	Sends []MLine // the m-lines that the client sends on
	Slots []*Slot // all slots of the connection, in the order of m-lines

	AudioLevelID uint8 // of the header extension (RFC 6464); 0 when not negotiated
	SendTimeID   uint8 // likewise, of abs-send-time
}

// Answer answers an offer, the first one or a later one (more slots, ICE restart). check may refuse
// the m-lines that the client wants to send on. Every error about the offer itself wraps ErrOffer or
// ErrCodec, or is check's; then the connection is as it was.
func (c *Conn) Answer(ctx context.Context, text string, check func(sends []MLine) error) (Negotiation, error) {
	o, err := parseOffer(text, c.engine.preferred)
	if err != nil {
		return Negotiation{}, err
	}
	out := Negotiation{AudioLevelID: o.ids.audioLevel, SendTimeID: o.ids.sendTime}
	for _, l := range o.lines {
		if l.Sends {
			out.Sends = append(out.Sends, l.MLine)
		}
	}
	if err := check(out.Sends); err != nil {
		return Negotiation{}, err
	}
	n := &c.negotiation
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return Negotiation{}, err
	}
	if err := c.agree(o); err != nil {
		return Negotiation{}, err
	}
	out.Slots = slices.Clone(n.slots)
	out.SDP = c.writeAnswer(o)
	return out, nil
}

// agree takes over what an offer says; negotiation.mu is held.
func (c *Conn) agree(o *offer) error {
	n := &c.negotiation
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return ErrClosed
	}
	first := n.current == nil
	if n.ufrag != o.ufrag {
		g, err := c.newGeneration(o.ufrag)
		if err != nil {
			return err
		}
		n.ufrag, n.current = o.ufrag, g
	}
	if first {
		var err error
		if n.session, err = c.engine.number(); err != nil {
			return err
		}
	}
	n.version++
	if err := c.addSlots(o); err != nil {
		return err
	}
	c.in.negotiated.Store(o.negotiated())
	if !first {
		return nil
	}
	c.hear() // the silence counts from here
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.running.Go(func() { c.runDTLS(o.fingerprints) })
	c.running.Go(c.runWatch)
	return nil
}

// addSlots makes a slot of each new receive-only m-line, in their order, and tells all of them what
// the client can take now.
func (c *Conn) addSlots(o *offer) error {
	n := &c.negotiation
	var index [codec.Video + 1]int
	for _, s := range n.slots {
		index[s.Kind]++
	}
	for _, l := range o.lines {
		if !l.Slot {
			continue
		}
		s := n.slot(l.Mid)
		if s == nil {
			s = &Slot{Mid: l.Mid, Kind: l.Kind, Index: index[l.Kind], conn: c}
			index[l.Kind]++
			if err := c.number(s); err != nil {
				return err
			}
			n.slots = append(n.slots, s)
		}
		s.bind(l, o.ids)
	}
	return nil
}

// number gives a slot its SSRCs, different from all others of the connection.
func (c *Conn) number(s *Slot) error {
	fresh := func() (uint32, error) {
		for {
			ssrc, err := c.engine.number()
			if err != nil || !c.negotiation.ssrcs[ssrc] {
				c.negotiation.ssrcs[ssrc] = true
				return ssrc, err
			}
		}
	}
	var err error
	if s.ssrc, err = fresh(); err == nil && s.Kind == codec.Video {
		s.rtxSSRC, err = fresh()
	}
	return err
}

// TransportFeedback returns the congestion control feedback that has gathered since the last call.
func (c *Conn) TransportFeedback() []rtcp.Packet { return c.in.feedback.build() }

// Arrivals has f told of each RTP packet that comes from now on, padding included: how large it was on its way. For
// who measures a path; f must not call the Conn.
func (c *Conn) Arrivals(f func(now time.Time, bytes int)) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.arrived = f
}

// Inbound returns how many bytes of RTP have come, as IP packets. It is for Sinks, while they are handed a packet.
func (c *Conn) Inbound() uint64 { return c.in.bytes }

// Path returns where everything is sent; the zero value before the first check of ICE.
func (c *Conn) Path() netip.AddrPort {
	if to := c.path.Load(); to != nil {
		return *to
	}
	return netip.AddrPort{}
}

// Close says goodbye, closes the connection and waits for its goroutines. When it returns, no packet
// and no event follows.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	close(c.done)
	generations, association := c.generations, c.dtls
	c.generations = nil
	c.mu.Unlock()
	c.end()
	if association != nil {
		_ = association.Close() // says close_notify
	}
	c.running.Wait()
	_ = c.association.Close()
	for _, g := range generations {
		c.engine.o.Port.Forget(g.ufrag)
	}
	c.in.close()
	c.broken.Store(true)
	return nil
}
