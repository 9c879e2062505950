package sfu

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/forward"
	"github.com/bedside-video/bedside/sfu/transport"
	"github.com/bedside-video/bedside/sfu/twcc"
)

const (
	// CheckTime is how long a check may take: it ends by itself.
	CheckTime = 12 * time.Second
	// maxChecks bounds those at once: more are refused. Sixteen that send all they may are 2 Mbit/s.
	maxChecks = 16
	// maxEchoes and maxEchoBytes bound what one check is sent back: the sound of CheckTime, twice.
	maxEchoes    = 1200
	maxEchoBytes = 200 // of an Opus packet's payload: 80 kbit/s
)

// ErrTooManyChecks tells that as many checks run as may.
var ErrTooManyChecks = errors.New("sfu: too many checks at once")

// check is a connection outside all rooms, by which somebody tries their network before a visit: it
// gets its own sound back, and reports on what came. Nobody else hears it. Nothing is sent to anybody
// whose address has not passed an authenticated ICE check, and never more than came from there.
type check struct {
	server *Server
	conn   *transport.Conn
	failed chan struct{} // capacity 1
	ended  func()

	mu       sync.Mutex
	opened   bool // one encoding is echoed
	ssrc     uint32
	receiver forward.Receiver
	out      *transport.Slot
	seq      uint16
}

// Check answers the offer of one who tries their network: one audio line that is sent on and at most
// one that receives. ended is called once when the check is over, which is after CheckTime at the
// latest; it is not called after an error. Errors wrap ErrBadOffer, ErrBadTrack, ErrCodecMismatch,
// ErrTooManyChecks or ErrClosed.
func (s *Server) Check(ctx context.Context, sdp string, ended func()) (string, error) {
	c := &check{server: s, failed: make(chan struct{}, 1), ended: ended, receiver: forward.NewReceiver(codec.Opus.ClockRate())}
	if err := s.enterCheck(); err != nil {
		return "", err
	}
	answer, err := c.open(ctx, sdp)
	if err != nil {
		if c.conn != nil {
			_ = c.conn.Close()
		}
		s.leaveCheck()
		return "", err
	}
	go c.run() // Server.Close ends it and waits
	return answer, nil
}

// enterCheck counts a check in, if there is room for it.
func (s *Server) enterCheck() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.checks.open == maxChecks:
		return ErrTooManyChecks
	}
	s.checks.open++
	s.checks.running.Add(1)
	return nil
}

func (s *Server) leaveCheck() {
	s.mu.Lock()
	s.checks.open--
	s.mu.Unlock()
	s.checks.running.Done()
}

// checks are what a Server knows of the checks that run.
type checks struct {
	open    int           // guarded by Server.mu
	closing chan struct{} // closed by Server.Close
	running sync.WaitGroup
}

func (c *check) open(ctx context.Context, sdp string) (string, error) {
	var err error
	if c.conn, err = c.server.vp8.Open(c); err != nil {
		return "", err
	}
	n, err := c.conn.Answer(ctx, sdp, func(sends []transport.MLine) error {
		if len(sends) != 1 || sends[0].Kind != codec.Audio {
			return fmt.Errorf("%w: a check sends one audio line", ErrBadTrack)
		}
		return nil
	})
	switch {
	case err != nil:
		return "", answerError(err)
	case len(n.Slots) > 1 || len(n.Slots) == 1 && n.Slots[0].Kind != codec.Audio:
		return "", fmt.Errorf("%w: a check receives one audio line", ErrBadTrack)
	}
	if len(n.Slots) == 1 {
		c.mu.Lock()
		c.out = n.Slots[0]
		c.mu.Unlock()
	}
	return n.SDP, nil
}

// run reports to the client, which reads from that what was lost on the way up, until the check is over.
func (c *check) run() {
	defer c.server.leaveCheck()
	defer c.ended()
	defer func() { _ = c.conn.Close() }()
	over := time.NewTimer(CheckTime)
	defer over.Stop()
	tick := time.NewTicker(reportInterval / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.report(c.server.clock())
		case <-over.C:
			return
		case <-c.failed:
			return
		case <-c.server.checks.closing:
			return
		}
	}
}

func (c *check) report(now time.Time) {
	c.mu.Lock()
	ssrc, r := c.ssrc, c.receiver.Report(now)
	c.mu.Unlock()
	if ssrc == 0 {
		return
	}
	packets := []rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{receptionReport(ssrc, r)}}}
	_ = c.conn.WriteRTCP(append(packets, c.conn.TransportFeedback()...)...) // lost, as on the way
}

// The rest makes a check a transport.Handler, and its own Sink.

// Open takes the one encoding.
func (c *check) Open(string, string) transport.Sink {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened {
		return nil
	}
	c.opened = true
	return c
}

// Flush has nothing to do.
func (c *check) Flush() {}

// RTP sends a packet back, numbered anew: what is lost on the way down is not mixed with what was lost
// on the way up.
func (c *check) RTP(now time.Time, name codec.Name, p *codec.Packet, _ bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ssrc = p.SSRC
	if c.receiver.Receive(now, p.Seq, p.Timestamp).Drop || c.out == nil || len(p.Payload) == 0 {
		return
	}
	if name != codec.Opus || len(p.Payload) > maxEchoBytes || c.seq == maxEchoes {
		return
	}
	c.seq++
	_ = c.out.Write(transport.Outgoing{Codec: name, Seq: c.seq, Timestamp: p.Timestamp, Marker: p.Marker}, p.Payload)
}

// Feedback is of nothing that was sent: a check sends no media.
func (c *check) Feedback(time.Time, *twcc.Feedback) {}

// RTCP notes when the client's reports were sent, so that ours tell it the round trip.
func (c *check) RTCP(now time.Time, packet rtcp.Packet) {
	if sr, ok := packet.(*rtcp.SenderReport); ok {
		c.mu.Lock()
		c.receiver.SenderReport(now, sr.NTPTime)
		c.mu.Unlock()
	}
}

// StateChanged ends the check when the client has gone.
func (c *check) StateChanged() {
	if c.conn.State() == transport.StateFailed {
		c.TooManyStreams()
	}
}

// TooManyStreams ends the check.
func (c *check) TooManyStreams() {
	select {
	case c.failed <- struct{}{}:
	default: // it ends already
	}
}
