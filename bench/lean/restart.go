package lean

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
)

// restart is what a connection knows of ICE restarts.
type restart struct {
	next    *agent // of one under way, until it has a path
	lapsed  bool   // the path in use has no consent any more
	version uint64 // of the offers' o= line
}

// makeAgent returns an agent with credentials of its own, in the lengths of Chromium's.
func makeAgent() (agent, error) {
	var secret [36]byte
	if _, err := io.ReadFull(rand.Reader, secret[:]); err != nil {
		return agent{}, fmt.Errorf("lean: randomness: %w", err)
	}
	return agent{
		ufrag: base64.RawStdEncoding.EncodeToString(secret[:3]), password: base64.RawStdEncoding.EncodeToString(secret[3:21]),
		tiebreaker: binary.BigEndian.Uint64(secret[28:]),
	}, nil
}

// Restart returns an offer of the same lines with an ICE restart (RFC 8445 section 9). Media stays on
// the old path until Restarted has been given the answer and the new one has proven itself. A restart
// before has come to nothing then.
func (c *Conn) Restart() (string, error) {
	next, err := makeAgent()
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return "", errClosed
	}
	c.next = &next
	c.version++
	return writeOffer(c.ice.tiebreaker, c.version, credentials{next.ufrag, next.password, c.own.fingerprint}, c.lines), nil
}

// Restarted takes the answer to the offer of Restart. Only its ICE credentials and candidates count:
// the lines, the keys and the SSRCs stay.
func (c *Conn) Restarted(text string) error {
	a, err := ParseAnswer(text)
	if err != nil {
		return err
	}
	if len(a.Lines) != len(c.lines) {
		return errAnswers
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	if c.next == nil {
		return errNoRestart
	}
	c.next.start(c.o.Now(), a)
	poke(c.wake)
	return nil
}

// takeNext moves to the path of a restart when there is one, and reports whether there was none in use
// any more; the caller holds mu.
func (c *Conn) takeNext() (back bool) {
	if !c.next.selected.IsValid() {
		return false
	}
	c.ice, c.next = *c.next, nil
	c.own.ufrag, c.own.password = c.ice.ufrag, c.ice.password
	selected := c.ice.selected
	c.remote.Store(&selected)
	poke(c.wake)
	back, c.lapsed = c.lapsed, false
	return back
}
