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
)

const (
	// CheckTime is how long a check may take: it ends by itself.
	CheckTime = 12 * time.Second
	// maxChecks bounds those at once: more are refused. Sixteen that fill 2 Mbit/s either way are 32 Mbit/s.
	maxChecks = 16
	// maxEchoes and maxEchoBytes bound what one check is sent back: the sound of CheckTime, twice.
	maxEchoes    = 1200
	maxEchoBytes = 200 // of an Opus packet's payload: 80 kbit/s
)

// ErrTooManyChecks tells that as many checks run as may.
var ErrTooManyChecks = errors.New("sfu: too many checks at once")

// CheckHandler is told what a check finds. Its functions are called on a goroutine of the check's, one at a time; they
// must not wait.
type CheckHandler struct {
	Found func(CheckFigures) // down, then both ways every upTold until Over
	Ended func()             // once, when the check is over
}

// check is a connection outside all rooms, by which somebody tries their network before a visit: it gets its own sound
// back, and padding and pictures measure what the path carries. Nobody else hears or sees it. Nothing is sent to
// anybody whose address has not passed an authenticated ICE check, nor padding to who does not tell that it came.
type check struct {
	server *Server
	conn   *transport.Conn
	failed chan struct{} // capacity 1
	to     CheckHandler
	video  string // mid of the client's pictures; "" without

	mu       sync.Mutex // may be held while transport writes a packet
	opened   bool       // one encoding is echoed
	ssrc     uint32
	receiver forward.Receiver
	out      *transport.Slot
	seq      uint16
	load     load
}

// Check answers the offer of one who tries their network: an audio line that is sent on and at most one that receives;
// with a video line of either direction, what the path carries is measured, too. The check is over after CheckTime at
// the latest; of one that failed to begin nothing is told. Errors wrap ErrBadOffer, ErrBadTrack, ErrCodecMismatch,
// ErrTooManyChecks or ErrClosed.
func (s *Server) Check(ctx context.Context, sdp string, to CheckHandler) (string, error) {
	c := &check{server: s, failed: make(chan struct{}, 1), to: to, receiver: forward.NewReceiver(codec.Opus.ClockRate())}
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
	c.conn.Arrivals(c.arrived)
	n, err := c.conn.Answer(ctx, sdp, c.sends)
	if err != nil {
		return "", answerError(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range n.Slots {
		into := &c.out
		if s.Kind == codec.Video {
			into = &c.load.pad
		}
		if *into != nil {
			return "", fmt.Errorf("%w: a check receives one line of audio and one of video", ErrBadTrack)
		}
		*into = s
	}
	return n.SDP, nil
}

// sends looks at what the client wants to send: sound, and pictures perhaps.
func (c *check) sends(lines []transport.MLine) error {
	var of [codec.Video + 1]int
	for _, l := range lines {
		of[l.Kind]++
		if l.Kind == codec.Video {
			c.video = l.Mid
		}
	}
	if of[codec.Audio] != 1 || of[codec.Video] > 1 {
		return fmt.Errorf("%w: a check sends one line of audio, and one of video at most", ErrBadTrack)
	}
	return nil
}

// run measures and reports to the client, which reads from that what was lost on the way up, until the check is over.
func (c *check) run() {
	defer c.server.leaveCheck()
	defer c.to.Ended()
	defer func() { _ = c.conn.Close() }()
	over := time.NewTimer(CheckTime)
	defer over.Stop()
	tick := time.NewTicker(checkTick)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			now := c.server.clock()
			if f, ok := c.measure(now); ok {
				c.to.Found(f)
			}
			if n%checkReports == 0 {
				c.report(now, n%(5*checkReports) == 0)
			}
		case <-over.C:
			return
		case <-c.failed:
			return
		case <-c.server.checks.closing:
			return
		}
	}
}

// checkReports is how many ticks there are between two reports: what a browser's estimator expects.
const checkReports = 10

// report tells what came; all: what was lost of the sound, too.
func (c *check) report(now time.Time, all bool) {
	c.mu.Lock()
	most := c.load.most(now)
	ssrc, r := c.ssrc, forward.Report{}
	if all = ssrc != 0 && (all || most > 0); all {
		r = c.receiver.Report(now)
	}
	c.mu.Unlock()
	var packets []rtcp.Packet
	if all {
		packets = append(packets, &rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{receptionReport(ssrc, r)}})
	}
	if most > 0 {
		packets = append(packets, &rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: float32(most), SSRCs: []uint32{c.load.ssrc}})
	}
	_ = c.conn.WriteRTCP(append(packets, c.conn.TransportFeedback()...)...) // lost, as on the way
}

// The rest makes a check a transport.Handler, and its own Sink.

// Open takes one encoding of sound, and those of the pictures.
func (c *check) Open(mid, _ string) transport.Sink {
	if mid == c.video {
		return pictures{c}
	}
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
	c.queue(now, p.Timestamp)
	if c.receiver.Receive(now, p.Seq, p.Timestamp).Drop || c.out == nil || len(p.Payload) == 0 {
		return
	}
	if name != codec.Opus || len(p.Payload) > maxEchoBytes || c.seq == maxEchoes {
		return
	}
	c.seq++
	_ = c.out.Write(transport.Outgoing{Codec: name, Seq: c.seq, Timestamp: p.Timestamp, Marker: p.Marker}, p.Payload)
}

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
