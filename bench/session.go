package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/bedside-video/bedside/signaling/wire"
)

const (
	writeTimeout   = 5 * time.Second
	maxJoinReply   = 64 << 10 // bytes
	pendingReplies = 64
)

// session is one WebSocket.
type session struct {
	ws  *websocket.Conn
	cfg Config

	// writing holds the one writer that gorilla/websocket allows. Not a mutex: in virtual time no time passes
	// while somebody waits for one, and the holder may wait for a server that waits for time to pass.
	writing chan struct{}

	mu      sync.Mutex
	lastID  uint64
	pending map[uint64]chan wire.ServerMessage
	closed  bool
}

// exchange turns an invitation into a session token and the URL to take it to.
func exchange(ctx context.Context, cfg Config) (token, connect string, err error) {
	body, err := json.Marshal(map[string]string{"invitation": cfg.Invitation})
	if err != nil {
		return "", "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cfg.BaseURL+"/v1/join", bytes.NewReader(body))
	if err != nil {
		return "", "", fmt.Errorf("bench: join request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := cfg.HTTP.Do(req)
	if err != nil {
		return "", "", fmt.Errorf("bench: join: %w", err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxJoinReply))
	if err != nil {
		return "", "", fmt.Errorf("bench: join: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		refused := &RemoteError{Status: resp.StatusCode}
		var problem struct {
			Code     string `json:"code"`
			OpensAt  string `json:"opens_at"`
			ClosedAt string `json:"closed_at"`
		}
		if json.Unmarshal(reply, &problem) == nil {
			refused.Code, refused.OpensAt, refused.ClosedAt = problem.Code, problem.OpensAt, problem.ClosedAt
		}
		return "", "", refused
	}
	var joined struct{ Token, Connect string }
	if err := json.Unmarshal(reply, &joined); err != nil {
		return "", "", fmt.Errorf("bench: join reply: %w", err)
	}
	return joined.Token, joined.Connect, nil
}

// dial opens the WebSocket named by connect, a URL or a path on the server.
func dial(ctx context.Context, cfg Config, connect string) (*session, error) {
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("bench: base URL: %w", err)
	}
	if connect == "" {
		connect = "/v1/connect"
	}
	at, err := base.Parse(connect)
	if err != nil {
		return nil, fmt.Errorf("bench: connect URL: %w", err)
	}
	at.Scheme = strings.Replace(at.Scheme, "http", "ws", 1)
	dialer := websocket.Dialer{
		NetDialContext: cfg.DialContext, Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: writeTimeout,
		TLSClientConfig: cfg.TLS,
	}
	ws, resp, err := dialer.DialContext(ctx, at.String(), http.Header{"Origin": {cfg.BaseURL}})
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("bench: connect: status %d: %w", resp.StatusCode, err)
		}
		return nil, fmt.Errorf("bench: connect: %w", err)
	}
	ws.SetReadLimit(wire.MaxMessageBytes)
	return &session{ws: ws, cfg: cfg, writing: make(chan struct{}, 1), pending: make(map[uint64]chan wire.ServerMessage)}, nil
}

// send writes a message; id 0 asks for no reply.
func (s *session) send(m wire.ClientMessage, id uint64) error {
	data, err := wire.EncodeClient(m, id)
	if err != nil {
		return err
	}
	s.cfg.Observer.Raw(false, data)
	return s.sendRaw(data)
}

// sendRaw writes bytes as a text message.
func (s *session) sendRaw(data []byte) error {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if err := s.ws.SetWriteDeadline(s.cfg.Clock.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if err := s.ws.WriteMessage(websocket.TextMessage, data); err != nil {
		return fmt.Errorf("%w: %w", ErrEnded, err)
	}
	return nil
}

// call writes a message and waits for its reply; an error message becomes a *RemoteError.
func (s *session) call(ctx context.Context, m wire.ClientMessage) (wire.ServerMessage, error) {
	reply := make(chan wire.ServerMessage, 1)
	s.mu.Lock()
	if s.closed || len(s.pending) == pendingReplies {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	s.lastID++
	id := s.lastID
	s.pending[id] = reply
	s.mu.Unlock()
	if err := s.send(m, id); err != nil {
		s.forget(id)
		return nil, err
	}
	select {
	case <-ctx.Done():
		s.forget(id)
		return nil, ctx.Err()
	case got, ok := <-reply:
		if !ok {
			return nil, ErrEnded
		}
		if refused, isError := got.(*wire.Error); isError {
			return nil, &RemoteError{Code: refused.Code, OpensAt: refused.OpensAt, ClosedAt: refused.ClosedAt}
		}
		return got, nil
	}
}

func (s *session) forget(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, id)
}

// deliver hands a reply to its call.
func (s *session) deliver(re uint64, m wire.ServerMessage) {
	s.mu.Lock()
	reply := s.pending[re]
	delete(s.pending, re)
	s.mu.Unlock()
	if reply != nil {
		reply <- m
	}
}

// runReader passes messages to handle until the connection ends. Calls still waiting then fail.
func (s *session) runReader(handle func(wire.ServerMessage, wire.Header)) {
	defer s.fail()
	for {
		_, data, err := s.ws.ReadMessage()
		if err != nil {
			return
		}
		s.cfg.Observer.Raw(true, data)
		m, h, err := wire.DecodeServer(data)
		if err != nil || m == nil {
			continue // a server may be newer than we are
		}
		handle(m, h)
	}
}

// fail ends the calls that wait.
func (s *session) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for id, reply := range s.pending {
		delete(s.pending, id)
		close(reply)
	}
}

// close ends the connection without a word.
func (s *session) close() { _ = s.ws.Close() }
