package lean

import (
	"encoding/binary"
	"fmt"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

const (
	runBytes   = 60_000 // what waits for Flush at most
	maxPacket  = 2048   // of one packet, protected
	maxControl = 1200   // bytes of RTCP in one datagram
)

// run is what was written and not yet sent: datagrams of one size, behind each other, for one system
// call. The last may be shorter.
type run struct {
	b           []byte
	used, size  int
	ended       bool // the last one was shorter
	transportCC uint8
	sequence    uint16 // transport-wide
	header      rtp.Header
}

// WriteRTP protects a packet; Flush sends it, at the latest. It stamps the transport-wide sequence
// number into h. What does not fit one datagram is an error.
func (c *Conn) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	k := c.keys.Load()
	if k == nil {
		return 0, errNotUp
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	r := &c.out
	if r.b == nil {
		r.b = make([]byte, runBytes+maxPacket)
	}
	if r.transportCC != 0 {
		var sequence [2]byte
		binary.BigEndian.PutUint16(sequence[:], r.sequence)
		r.sequence++
		if err := h.SetExtension(r.transportCC, sequence[:]); err != nil {
			return 0, err
		}
	}
	if h.MarshalSize()+len(payload)+int(h.PaddingSize) > maxPacket-64 {
		return 0, fmt.Errorf("lean: a packet of %d bytes does not fit", len(payload))
	}
	at := r.b[r.used:]
	n, err := h.MarshalTo(at)
	if err != nil {
		return 0, err
	}
	n += copy(at[n:], payload)
	if h.Padding {
		clear(at[n : n+int(h.PaddingSize)])
		n += int(h.PaddingSize)
		at[n-1] = h.PaddingSize
	}
	sealed, err := k.out.EncryptRTP(at[:n:cap(at)], at[:n], &r.header)
	if err != nil {
		return 0, err
	}
	return len(payload), c.append(len(sealed))
}

// append takes the n bytes behind the run into it, sending first what they cannot follow; the caller
// holds writing.
func (c *Conn) append(n int) error {
	r := &c.out
	var err error
	if r.used > 0 && (r.ended || n > r.size || r.used+n > runBytes) {
		last := r.b[r.used : r.used+n]
		err = c.flush()
		copy(r.b, last)
	}
	if r.used == 0 {
		r.size = n
	}
	r.ended = n < r.size
	r.used += n
	return err
}

// Flush sends what was written.
func (c *Conn) Flush() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.flush()
}

func (c *Conn) flush() error {
	r := &c.out
	to := c.remote.Load()
	if r.used == 0 || to == nil {
		return nil
	}
	err := c.socket.WriteRun(r.b[:r.used], r.size, *to)
	r.used, r.ended = 0, false
	return err
}

// WriteRTCP protects and sends packets, as few datagrams as they fit into.
func (c *Conn) WriteRTCP(packets []rtcp.Packet) error {
	var plain []byte
	for _, p := range packets {
		b, err := p.Marshal()
		if err != nil {
			return fmt.Errorf("lean: RTCP: %w", err)
		}
		if len(plain) > 0 && len(plain)+len(b) > maxControl {
			if err := c.sendRTCP(plain); err != nil {
				return err
			}
			plain = plain[:0]
		}
		plain = append(plain, b...)
	}
	return c.sendRTCP(plain)
}

func (c *Conn) sendRTCP(plain []byte) error {
	k := c.keys.Load()
	if k == nil {
		return errNotUp
	}
	if len(plain) == 0 {
		return nil
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	sealed, err := k.out.EncryptRTCP(nil, plain, nil)
	if err != nil {
		return fmt.Errorf("lean: RTCP: %w", err)
	}
	return c.sendPlain(sealed)
}
