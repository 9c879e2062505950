package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Admit lets a waiting participant in.
func (c *Client) Admit(ctx context.Context, participant string) error {
	_, err := c.Call(ctx, &wire.Admit{Participant: participant})
	return err
}

// HandOver leaves the consultation to another clinician and waits until the session has ended. When
// the server refuses, the session goes on and the error is a *RemoteError.
func (c *Client) HandOver(ctx context.Context, to string) error {
	_, err := c.Call(ctx, &wire.Leave{To: to})
	if errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

// Leave says goodbye and waits until the server has ended the session.
func (c *Client) Leave(ctx context.Context) error { return c.finish(ctx, &wire.Leave{}) }

// End ends the consultation for everybody and waits until the server has ended this session.
func (c *Client) End(ctx context.Context) error { return c.finish(ctx, &wire.End{}) }

func (c *Client) finish(ctx context.Context, m wire.ClientMessage) error {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s == nil {
		return ErrClosed
	}
	if err := s.send(m, 0); err != nil {
		return err
	}
	return c.Await(ctx, func(v View) bool { return v.Ended != "" })
}

// Mute stops or restarts one of the Client's own tracks and tells the server.
func (c *Client) Mute(ctx context.Context, source wire.Source, muted bool) error {
	p, err := c.find(source)
	if err != nil {
		return err
	}
	if !c.cfg.Defects.MediaMuted {
		p.setMuted(muted)
	}
	_, err = c.Call(ctx, &wire.Mute{Mid: p.mid, Muted: muted})
	return err
}

// Share starts or stops sending the screen that Config.Media offers. As a browser's SDK does, it
// announces the start before the first packet, so that the screen has a slot by then, and the end
// after the last one.
func (c *Client) Share(ctx context.Context, on bool) error {
	p, err := c.find(wire.SourceScreen)
	if err != nil {
		return err
	}
	if !on {
		p.setHidden(true)
	}
	_, err = c.Call(ctx, &wire.Mute{Mid: p.mid, Muted: !on})
	if err == nil && on {
		p.setHidden(false)
	}
	return err
}

// StopLayer stops or restarts one encoding of a track, as a browser does by itself.
func (c *Client) StopLayer(source wire.Source, rid string, stopped bool) error {
	p, i, err := c.encoding(source, rid)
	if err != nil {
		return err
	}
	p.setStopped(i, stopped)
	return nil
}

// Probe sends n packets of an encoding again, from the one sent back packets ago (512 at most), as RTX
// that nobody asked for: Chromium does so to probe for bandwidth.
func (c *Client) Probe(source wire.Source, rid string, back, n int) error {
	p, i, err := c.encoding(source, rid)
	if err != nil {
		return err
	}
	return p.encodings[i].probe(back, n)
}

// Pad sends n packets of padding on an encoding's own SSRC.
func (c *Client) Pad(source wire.Source, rid string, n int) error {
	p, i, err := c.encoding(source, rid)
	if err != nil {
		return err
	}
	return p.encodings[i].padding(n)
}

// Flood sends one packet on each of n SSRCs that were never announced.
func (c *Client) Flood(n int) error {
	p, i, err := c.encoding(c.anySource(), "")
	if err != nil {
		return err
	}
	return p.encodings[i].flood(n)
}

// Forge sends RTCP packets as they are.
func (c *Client) Forge(packets []rtcp.Packet) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return ErrClosed
	}
	return conn.media.writeRTCP(packets)
}

// RequestKey sends a PLI for the slot mid, whether or not it needs one.
func (c *Client) RequestKey(mid string) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return ErrClosed
	}
	s := conn.slot(mid)
	if s == nil {
		return fmt.Errorf("bench: no slot %s", mid)
	}
	s.mu.Lock()
	ssrc := s.ssrc
	s.mu.Unlock()
	return conn.media.writeRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: ssrc}})
}

// SlotStreams are the SSRCs of one slot; 0 for not known yet.
type SlotStreams struct {
	Mid        string
	Media, RTX uint32
}

// Streams returns the SSRCs of the current connection's slots, in the order of the m-lines.
func (c *Client) Streams() []SlotStreams {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	var out []SlotStreams
	for _, s := range conn.slots {
		s.mu.Lock()
		out = append(out, SlotStreams{Mid: s.mid, Media: s.ssrc, RTX: s.rtxSSRC})
		s.mu.Unlock()
	}
	return out
}

// anySource is the first source that is published.
func (c *Client) anySource() wire.Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || len(c.conn.pubs) == 0 {
		return ""
	}
	return c.conn.pubs[0].source
}

func (c *Client) find(source wire.Source) (*publication, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil, ErrClosed
	}
	if p := c.conn.publication(source); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("bench: no track %q", source)
}

func (c *Client) encoding(source wire.Source, rid string) (*publication, int, error) {
	p, err := c.find(source)
	if err != nil {
		return nil, 0, err
	}
	i := slices.IndexFunc(p.encodings, func(e *encoding) bool { return e.rid == rid })
	if i < 0 {
		return nil, 0, fmt.Errorf("bench: no encoding %q of %q", rid, source)
	}
	return p, i, nil
}
