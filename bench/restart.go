package bench

import (
	"context"
	"fmt"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Restart restarts ICE over the WebSocket that is there, as a page does whose network has changed or
// whom the server asks to: the session, the keys and the slots stay, and so does the old path until the
// new one is proven. It returns when the answer is applied.
func (c *Client) Restart(ctx context.Context) error {
	c.restarting.Lock()
	defer c.restarting.Unlock()
	c.mu.Lock()
	s, conn := c.session, c.conn
	c.mu.Unlock()
	if s == nil || conn == nil {
		return ErrClosed
	}
	offer, err := conn.offer(true)
	if err != nil {
		return err
	}
	reply, err := s.call(ctx, offer)
	if err != nil {
		return err
	}
	answer, ok := reply.(*wire.Answer)
	if !ok {
		return fmt.Errorf("bench: restart answered by %T", reply)
	}
	return conn.restarted(answer.SDP)
}
