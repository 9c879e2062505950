package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/sfu/codec"
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

// Handler is told what happens on a Conn. Its methods must not call Close of the Conn.
type Handler interface {
	// Open is asked once for each encoding before its first packet, on the goroutine that then
	// calls the Sink. nil refuses the encoding: its packets are dropped.
	Open(mid, rid string) Sink
	// RTCP hands over one packet of a compound. It is called on one goroutine.
	RTCP(now time.Time, p rtcp.Packet)
	// StateChanged tells that State may return something else now.
	StateChanged()
	// TooManyStreams tells that the client sends more SSRCs than the limit; no more are read.
	TooManyStreams()
}

// Sink takes the packets of one encoding.
type Sink interface {
	// RTP hands over one packet; p is valid until RTP returns. Its payload has been parsed as c.
	// repaired tells that it came as a retransmission (RFC 4588). Calls do not overlap.
	RTP(now time.Time, c codec.Name, p *codec.Packet, repaired bool)
}

// Conn is one participant's connection. The client always offers, Answer answers.
type Conn struct {
	engine  *Engine
	handler Handler
	pc      *webrtc.PeerConnection

	selected     atomic.Bool // an ICE pair has been selected since the last (re)start
	transportSeq atomic.Uint32
	negotiated   atomic.Pointer[negotiated]

	answering sync.Mutex // one Answer at a time
	slots     []*Slot    // in the order of m-lines; guarded by answering
	ufrag     string     // the client's, to notice an ICE restart; guarded by answering

	streams  streams
	feedback feedback
}

// Open makes a connection that waits for its first offer.
func (e *Engine) Open(h Handler) (*Conn, error) {
	c := &Conn{engine: e, handler: h}
	c.streams.init(c)
	pc, err := e.newPeerConnection(c)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	c.pc = pc
	pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { h.StateChanged() })
	return c, nil
}

// State of the connection now.
func (c *Conn) State() State {
	switch c.pc.ConnectionState() {
	case webrtc.PeerConnectionStateConnected:
		return StateConnected
	case webrtc.PeerConnectionStateDisconnected:
		return StateDisconnected
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		return StateFailed
	}
	return StateNew
}

// Negotiation is the outcome of one offer.
type Negotiation struct {
	SDP   string  // the answer
	Sends []MLine // the m-lines that the client sends on
	Slots []*Slot // all slots of the connection, in the order of m-lines

	AudioLevelID uint8 // of the header extension (RFC 6464); 0 when not negotiated
}

// Answer answers an offer, the first one or a later one (more slots, ICE restart). check may refuse
// the m-lines that the client wants to send on. Every error about the offer itself wraps ErrOffer
// or ErrCodec, or is check's; unless pion found it, the connection is as it was.
func (c *Conn) Answer(ctx context.Context, text string, check func(sends []MLine) error) (Negotiation, error) {
	o, err := parseOffer(text, c.engine.videoCodec())
	if err != nil {
		return Negotiation{}, err
	}
	out := Negotiation{}
	for _, l := range o.lines {
		if l.Sends {
			out.Sends = append(out.Sends, l)
		}
	}
	if err := check(out.Sends); err != nil {
		return Negotiation{}, err
	}
	c.answering.Lock()
	defer c.answering.Unlock()
	if err := c.addSlots(o); err != nil {
		return Negotiation{}, err
	}
	if c.ufrag != o.ufrag {
		c.ufrag = o.ufrag
		c.selected.Store(false)
	}
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: o.sdp}); err != nil {
		return Negotiation{}, c.refuse(err)
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	answer, err := c.pc.CreateAnswer(nil)
	if err != nil {
		return Negotiation{}, c.refuse(err)
	}
	n, ice, err := readAnswer(answer.SDP, o)
	if err != nil {
		return Negotiation{}, err
	}
	c.negotiated.Store(n)
	if err := c.pc.SetLocalDescription(answer); err != nil {
		return Negotiation{}, c.refuse(err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return Negotiation{}, ctx.Err()
	}
	c.engine.o.Port.SetPassword(ice.ufrag, ice.password)
	out.SDP = withCandidates(c.pc.LocalDescription().SDP, c.engine.o.Advertise)
	out.Slots = slices.Clone(c.slots)
	out.AudioLevelID = n.ids.audioLevel
	return out, nil
}

// refuse tells an offer that pion does not like from a connection that is gone. pion's own words
// may repeat the offer, so they are not passed on.
func (c *Conn) refuse(err error) error {
	if c.pc.ConnectionState() == webrtc.PeerConnectionStateClosed || errors.Is(err, webrtc.ErrConnectionClosed) {
		return ErrClosed
	}
	return offerError("it cannot be negotiated")
}

// addSlots makes a sender for each new receive-only m-line, in their order and before pion sees
// the offer: pion then matches them by kind and order, and the text of the answer is deterministic
// (with senders made afterwards the order of its payload types is that of a Go map).
func (c *Conn) addSlots(o *offer) error {
	have := map[string]bool{}
	var index [codec.Video + 1]int
	for _, s := range c.slots {
		have[s.Mid] = true
		index[s.Kind]++
	}
	for _, l := range o.lines {
		if !l.Slot || have[l.Mid] {
			continue
		}
		s := &Slot{Mid: l.Mid, Kind: l.Kind, Index: index[l.Kind], conn: c}
		index[l.Kind]++
		_, err := c.pc.AddTransceiverFromTrack(slotTrack{s}, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return c.refuse(err)
		}
		c.slots = append(c.slots, s)
	}
	return nil
}

// WriteRTCP sends RTCP to the client. Before the connection is up it is dropped.
func (c *Conn) WriteRTCP(p ...rtcp.Packet) error {
	if len(p) == 0 {
		return nil
	}
	return c.pc.WriteRTCP(p)
}

// TransportFeedback returns the congestion control feedback that has gathered since the last call.
func (c *Conn) TransportFeedback() []rtcp.Packet { return c.feedback.build() }

// Close closes the connection and waits for its goroutines.
func (c *Conn) Close() error {
	return c.pc.GracefulClose()
}
