package transport

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
)

const (
	ufragLength    = 16
	passwordLength = 32
	// A browser checks consent every 5 s at most (RFC 7675 section 5.1): two lost checks are
	// "disconnected", 30 s of silence end the connection as RFC 7675 says.
	silenceDisconnected = 12 * time.Second
	silenceFailed       = 30 * time.Second
)

// generation is one set of ICE credentials of a connection: the first, or that of an ICE restart. It
// is a port.Receiver. Being ICE-lite (RFC 8445 section 2.5), it answers checks and sends none.
type generation struct {
	conn            *Conn
	ufrag, password string
	remoteUfrag     string
	proven          atomic.Bool // a check has come
}

// Check answers a connectivity check that carried the password. The first one selects the path:
// Chromium's does not nominate, and waiting for the one that does costs 54 ms of a join (measured
// 2026-11-22). A nomination may still change it.
func (g *generation) Check(m *stun.Message, from netip.AddrPort) {
	name, err := m.Get(stun.AttrUsername)
	if _, remote, _ := strings.Cut(string(name), ":"); err != nil || remote != g.remoteUfrag {
		return
	}
	if m.Contains(stun.AttrICEControlled) { // RFC 8445 section 7.3.1.1: we are, as long as we are lite
		g.reply(m, from, stun.BindingError, stun.CodeRoleConflict)
		return
	}
	first := !g.proven.Swap(true)
	if first || m.Contains(stun.AttrUseCandidate) {
		g.conn.selectPath(g, from)
	}
	g.conn.hear()
	g.reply(m, from, stun.BindingSuccess, &stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())})
}

func (g *generation) reply(m *stun.Message, to netip.AddrPort, kind stun.MessageType, content stun.Setter) {
	out, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), kind, content,
		stun.NewShortTermIntegrity(g.password), stun.Fingerprint)
	if err == nil {
		_ = g.conn.engine.o.Port.Write(out.Raw, to) // lost, as on the way: the client asks again
	}
}

// DTLS takes one datagram of the handshake, or of what follows it.
func (g *generation) DTLS(b []byte, _ netip.AddrPort) { g.conn.association.push(b) }

// Media takes one SRTP or SRTCP packet. It is decrypted in place.
func (g *generation) Media(b []byte, _ netip.AddrPort) { g.conn.receive(b) }

// Flush ends a burst.
func (g *generation) Flush() { g.conn.in.flush() }

// newGeneration registers new credentials with the port. Those before stay until a check has come for
// the new ones: until then media flows on the old path.
func (c *Conn) newGeneration(remoteUfrag string) (*generation, error) {
	g := &generation{conn: c, remoteUfrag: remoteUfrag}
	var err error
	if g.ufrag, err = c.engine.token(ufragLength); err != nil {
		return nil, err
	}
	if g.password, err = c.engine.token(passwordLength); err != nil {
		return nil, err
	}
	if err := c.engine.o.Port.Open(g.ufrag, g.password, g); err != nil {
		return nil, ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.engine.o.Port.Forget(g.ufrag)
		return nil, ErrClosed
	}
	if n := len(c.generations); n == 2 { // the last restart came to nothing
		c.engine.o.Port.Forget(c.generations[1].ufrag)
		c.generations = c.generations[:1]
	}
	c.generations = append(c.generations, g)
	return g, nil
}

// selectPath makes to the address that everything is sent to, and drops credentials older than g.
func (c *Conn) selectPath(g *generation, to netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.generations, g)
	if i < 0 {
		return // closed, or a newer one has been proven
	}
	c.path.Store(&to)
	if i == 1 {
		c.engine.o.Port.Forget(c.generations[0].ufrag)
		c.generations = c.generations[1:]
	}
}

// hear notes that the client is there: a check, or a packet that could be decrypted.
func (c *Conn) hear() { c.heard.Store(c.engine.o.Clock().UnixNano()) }

// runWatch tells the Handler when the client falls silent, and when it is back.
func (c *Conn) runWatch() {
	was := StateNew
	for {
		wait := c.silentIn()
		if state := c.State(); state != was {
			was = state
			c.handler.StateChanged()
			if state == StateFailed {
				return
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.changed:
		case <-c.done:
		}
		timer.Stop()
		select {
		case <-c.done:
			return
		default:
		}
	}
}

// silentIn is when State may next change by silence alone. While the client is disconnected it looks
// often, so that its return is told soon.
func (c *Conn) silentIn() time.Duration {
	const often = 250 * time.Millisecond
	silence := c.silence()
	if silence < silenceDisconnected {
		return silenceDisconnected - silence
	}
	return min(often, max(silenceFailed-silence, time.Millisecond))
}

// silence is how long nothing has been heard, from the first answer on.
func (c *Conn) silence() time.Duration {
	return time.Duration(c.engine.o.Clock().UnixNano() - c.heard.Load())
}
