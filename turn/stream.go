package turn

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/bedside-video/bedside/sfu/port"
)

const (
	// firstAllocation is how long a connection may be there without an allocation.
	firstAllocation = 10 * time.Second
	// streamSilence is how long it may say nothing: an allocation has expired by then.
	streamSilence = allocationLife + time.Minute
	// streamBuffer is read at once: a dozen packets of video.
	streamBuffer = 16 << 10
	// streamQueue bounds what waits for a slow client: 128 kB are half a second at 2 Mbit/s. More would
	// be old before it arrived; what is lost instead is asked for again.
	streamQueue = 128 << 10
	stunHeader  = 20
)

// errFraming tells that what a client sends is no message.
var errFraming = errors.New("turn: neither STUN nor ChannelData")

// stream is a client that has a connection, TCP or TLS.
type stream struct {
	relay *Relay
	conn  net.Conn
	at    netip.AddrPort // virtual
	queue *port.Queue
	once  sync.Once
}

func newStream(r *Relay, conn net.Conn, zone string) (*stream, error) {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return nil, err
	}
	s := &stream{relay: r, conn: conn, at: port.Virtual(at, zone), queue: port.NewQueue(conn, streamQueue)}
	if zone == ZoneTLS {
		s.queue.Separately()
	}
	return s, nil
}

func (s *stream) address() netip.AddrPort { return s.at }
func (s *stream) proven() bool            { return true }

// ended makes runWriter close the connection: that may take TLS seconds, and who ends a session has others
// to see to.
func (s *stream) ended() { s.queue.Close() }

// message has a STUN message written; its length is a multiple of four.
func (s *stream) message(b []byte) bool { return s.queue.Put(b) }

// channel has a ChannelData message written, padded as a stream wants it (RFC 8656 section 12.5).
func (s *stream) channel(number uint16, b []byte) bool {
	var frame [channelHeader + 3]byte
	head, padding := frame[:channelHeader], frame[channelHeader:]
	binary.BigEndian.PutUint16(head, number)
	binary.BigEndian.PutUint16(head[2:], uint16(len(b)))
	return s.queue.Put(head, b, padding[:padded(len(b))-len(b)])
}

// Close ends the connection. run ends then, and closes what belongs to it.
func (s *stream) Close() error {
	s.once.Do(func() {
		s.queue.Close()
		_ = s.conn.SetDeadline(time.Unix(1, 0)) // of TLS, Close would wait for a write that is under way
		_ = s.conn.Close()
	})
	return nil
}

// run reads until the connection ends.
func (s *stream) run() {
	var writing sync.WaitGroup
	writing.Go(s.runWriter)
	s.read()
	_ = s.Close()
	s.relay.removeIf(func(a *allocation) bool { return a.client == client(s) })
	writing.Wait()
	s.relay.release(s)
}

func (s *stream) runWriter() {
	_ = s.queue.Run() // whatever it is that it ends of, the connection is of no use any more
	_ = s.Close()
}

// read takes messages until there are none, or none that are.
func (s *stream) read() {
	in := bufio.NewReaderSize(s.conn, streamBuffer)
	buf := make([]byte, maxMessage)
	if s.conn.SetReadDeadline(time.Now().Add(firstAllocation)) != nil {
		return
	}
	for {
		b, err := readMessage(in, buf)
		if err != nil {
			return
		}
		if isChannelData(b) {
			s.relay.channelData(s.relay.find(s.at), b)
			continue
		}
		s.relay.request(s, b)
		if s.relay.find(s.at) != nil && s.conn.SetReadDeadline(time.Now().Add(streamSilence)) != nil {
			return
		}
	}
}

// readMessage reads one message into buf. Padding of ChannelData is read and left out.
func readMessage(in *bufio.Reader, buf []byte) ([]byte, error) {
	head, err := in.Peek(channelHeader)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head[2:]))
	skip := 0
	switch {
	case isChannelData(head):
		skip = padded(size) - size
		size += channelHeader
	case head[0]>>6 == 0 && size%4 == 0:
		size += stunHeader
	default:
		return nil, errFraming
	}
	if size > len(buf) {
		return nil, errFraming
	}
	if _, err := io.ReadFull(in, buf[:size]); err != nil {
		return nil, err
	}
	_, err = in.Discard(skip)
	return buf[:size], err
}

func padded(n int) int { return (n + 3) &^ 3 }
