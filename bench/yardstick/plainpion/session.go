package plainpion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pion/webrtc/v4"

	"github.com/bedside-video/bedside/bench/yardstick"
)

// session is one connection. Its goroutines end with it.
type session struct {
	pc *webrtc.PeerConnection

	mu     sync.Mutex // guards closed, and wg.Go against wg.Wait
	closed bool
	wg     sync.WaitGroup
}

// connect answers an offer; setup is called before it is applied.
func (s *Server) connect(ctx context.Context, offer string, setup func(*session)) (string, io.Closer, error) {
	pc, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", nil, fmt.Errorf("plainpion: peer connection: %w", err)
	}
	c := &session{pc: pc}
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateFailed { // the client has gone without DELETE
			_ = pc.Close()
		}
	})
	setup(c)
	answer, err := c.answer(ctx, offer)
	if err != nil {
		return "", nil, errors.Join(err, c.Close())
	}
	return answer, c, nil
}

func (c *session) answer(ctx context.Context, offer string) (string, error) {
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("%w: %w", yardstick.ErrOffer, err)
	}
	answer, err := c.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("plainpion: answer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("plainpion: answer: %w", err)
	}
	select {
	case <-gathered:
		return c.pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", fmt.Errorf("plainpion: gathering: %w", ctx.Err())
	}
}

func (c *session) goRun(run func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(run)
	}
}

// Close implements io.Closer.
func (c *session) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	err := c.pc.GracefulClose()
	c.wg.Wait()
	if err != nil {
		return fmt.Errorf("plainpion: close: %w", err)
	}
	return nil
}
