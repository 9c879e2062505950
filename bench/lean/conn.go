package lean

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/bedside-video/bedside/bench/batch"
)

// Handler is told what a connection receives, from its reader: it must not block, and not close the
// connection.
type Handler interface {
	RTP(now time.Time, p *Packet)
	RTCP(now time.Time, packets []rtcp.Packet)
	// Up is told that the connection is up, once, and when it is given up.
	Up(up bool)
}

// Options of a Conn.
type Options struct {
	Handler Handler
	// Certificate is our DTLS identity; nil makes one.
	Certificate *Certificate
	// Socket opens the socket; nil opens any UDP port.
	Socket func() (net.PacketConn, error)
	// GCM offers AES-128-GCM alone: with a server that takes it not, there is no connection.
	GCM   bool
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

var (
	errClosed  = errors.New("lean: connection is closed")
	errNotUp   = errors.New("lean: connection is not up")
	errAnswers = errors.New("lean: the answer has other m-lines than the offer")

	errNoRestart = errors.New("lean: an answer to a restart that was not offered")
)

// Conn is one connection. It offers, is answered, and may restart ICE.
type Conn struct {
	restart // guarded by mu
	o       Options
	ice     agent // guarded by mu
	lines   []Line
	own     credentials
	socket  *batch.Conn
	hello   *pipe // what DTLS reads
	remote  atomic.Pointer[netip.AddrPort]
	keys    atomic.Pointer[keys]
	wake    chan struct{} // of runControl
	done    chan struct{} // closed by Close
	epoch   time.Time

	mu      sync.Mutex // guards what follows, and wg.Go against wg.Wait
	closed  bool
	tls     *dtls.Conn
	counts  counts
	wg      sync.WaitGroup
	writing sync.Mutex
	out     run // guarded by writing
}

// keys are the SRTP contexts: in is the reader's alone, out is guarded by Conn.writing.
type keys struct {
	in, out *srtp.Context
	tag     int // bytes that protection adds to a packet
}

// counts is what feedback is made of.
type counts struct {
	receptions  map[uint32]*reception
	feedback    *twcc.Recorder
	transportCC uint8 // id of the header extension
	feedbackDue time.Time
	reportDue   time.Time
}

// New returns a connection that has not begun.
func New(o Options) (*Conn, error) {
	if o.Certificate == nil {
		c, err := NewCertificate()
		if err != nil {
			return nil, err
		}
		o.Certificate = c
	}
	ice, err := makeAgent()
	if err != nil {
		return nil, err
	}
	c := &Conn{
		o: o, wake: make(chan struct{}, 1), done: make(chan struct{}), epoch: o.Now(), hello: newPipe(),
		ice: ice, own: credentials{ufrag: ice.ufrag, password: ice.password, fingerprint: o.Certificate.fingerprint},
	}
	c.counts = counts{receptions: make(map[uint32]*reception), feedback: twcc.NewRecorder(senderSSRC)}
	return c, nil
}

// Offer describes the lines.
func (c *Conn) Offer(lines []Line) string {
	c.lines, c.version = lines, 2 // Chromium's first
	return writeOffer(c.ice.tiebreaker, c.version, c.own, lines)
}

// Answer takes the answer to the offer and connects. What arrives from then on goes to the Handler;
// prepare is called before.
func (c *Conn) Answer(text string, prepare func(*Answer)) error {
	a, err := ParseAnswer(text)
	if err != nil {
		return err
	}
	if len(a.Lines) != len(c.lines) {
		return errAnswers
	}
	socket, err := c.open(a)
	if err != nil {
		return fmt.Errorf("lean: socket: %w", err)
	}
	prepare(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.Join(errClosed, socket.Close())
	}
	c.socket = batch.New(socket)
	c.hello.send = c.sendPlain
	c.prepareCounts(a)
	c.ice.start(c.o.Now(), a)
	c.wg.Go(func() { c.runReader(a) })
	c.wg.Go(c.runControl)
	return nil
}

// open opens the socket, of the family of the first candidate.
func (c *Conn) open(a *Answer) (net.PacketConn, error) {
	if c.o.Socket != nil {
		return c.o.Socket()
	}
	family := "udp4"
	if len(a.candidates) > 0 && !a.candidates[0].Addr().Is4() {
		family = "udp6"
	}
	return net.ListenUDP(family, nil)
}

// prepareCounts makes the accounts of the streams that the answer announces; the caller holds mu.
func (c *Conn) prepareCounts(a *Answer) {
	for i, l := range a.Lines {
		if c.counts.transportCC == 0 {
			c.counts.transportCC = l.IDs.TransportCC
		}
		if c.lines[i].Sends {
			continue
		}
		rate := 48000.0
		if c.lines[i].Video {
			rate = 90000
		}
		for _, ssrc := range []uint32{l.SSRC, l.RTX} {
			if ssrc != 0 {
				c.counts.receptions[ssrc] = &reception{ssrc: ssrc, clockRate: rate}
			}
		}
	}
	c.writing.Lock()
	c.out.transportCC = c.counts.transportCC
	c.writing.Unlock()
}

// Close ends the connection, with a goodbye where it was up, and waits for its goroutines.
func (c *Conn) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.wg.Wait()
		return
	}
	c.closed = true
	close(c.done)
	tls, socket := c.tls, c.socket
	c.mu.Unlock()
	if tls != nil {
		_ = tls.Close() // sends close_notify
	}
	c.hello.close()
	if socket != nil {
		_ = socket.Close()
	}
	c.wg.Wait()
}

// RTT is the round trip of the last check that was answered, 0 for none.
func (c *Conn) RTT() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ice.rtt
}

// sendPlain sends a datagram that is not media.
func (c *Conn) sendPlain(b []byte) error {
	to := c.remote.Load()
	if to == nil {
		return errNotUp
	}
	return c.socket.Write(b, *to)
}

// Packet is one received RTP packet. It is valid until Handler.RTP returns.
type Packet struct {
	Header *rtp.Header
	Size   int // bytes of the datagram

	raw  []byte
	head int // bytes of the header
	keys *keys
	all  []byte // where raw is decrypted to
	h    rtp.Header
}

// PayloadSize is how long the payload is, padding included.
func (p *Packet) PayloadSize() int { return max(0, len(p.raw)-p.head-p.keys.tag) }

// Decrypt authenticates and decrypts the packet and returns its payload, without padding.
func (p *Packet) Decrypt() ([]byte, error) {
	out, err := p.keys.in.DecryptRTP(p.all, p.raw, &p.h)
	if err != nil {
		return nil, err
	}
	p.all = out[:0]
	size := p.h.MarshalSize()
	end := len(out)
	if p.h.Padding && end > size {
		end = max(size, end-int(out[end-1]))
	}
	return out[size:end], nil
}
