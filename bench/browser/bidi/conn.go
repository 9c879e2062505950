package bidi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/gorilla/websocket"
)

// ErrClosed tells that the connection to the browser has ended.
var ErrClosed = errors.New("the browser has gone")

// conn is one BiDi session's WebSocket: commands with answers matched by their ids, and events.
type conn struct {
	ws  *websocket.Conn
	log func(Entry)

	mu      sync.Mutex // held while writing, too
	id      int
	waiting map[int]chan<- answer // each has room for its one answer; as many as there are callers
	done    chan struct{}         // closed when nothing more is read
}

// message is all that a browser sends: an answer to a command, or an event.
type message struct {
	Type   string          `json:"type"`
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	answer
}

type answer struct {
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
}

func dial(ctx context.Context, url string, log func(Entry)) (*conn, error) {
	ws, resp, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("bidi: connect: %w", err)
	}
	_ = resp.Body.Close()
	c := &conn{ws: ws, log: log, waiting: make(map[int]chan<- answer), done: make(chan struct{})}
	go c.runRead()
	return c, nil
}

func (c *conn) runRead() {
	defer close(c.done)
	for {
		var m message
		if c.ws.ReadJSON(&m) != nil {
			return
		}
		if m.Type == "event" {
			c.event(m)
			continue
		}
		c.mu.Lock()
		w := c.waiting[m.ID]
		delete(c.waiting, m.ID)
		c.mu.Unlock()
		if w != nil {
			w <- m.answer
		}
	}
}

func (c *conn) event(m message) {
	if m.Method != "log.entryAdded" || c.log == nil {
		return
	}
	var e struct {
		Level  string `json:"level"`
		Text   string `json:"text"`
		Source struct {
			Context string `json:"context"`
		} `json:"source"`
	}
	if json.Unmarshal(m.Params, &e) == nil {
		c.log(Entry{Tab: e.Source.Context, Level: e.Level, Text: e.Text})
	}
}

// call sends a command, waits for its result and decodes it into out, which may be nil.
func (c *conn) call(ctx context.Context, method string, params, out any) error {
	got := make(chan answer, 1)
	c.mu.Lock()
	c.id++
	id := c.id
	c.waiting[id] = got
	err := c.ws.WriteJSON(map[string]any{"id": id, "method": method, "params": params})
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("bidi: %s: %w", method, err)
	}
	select {
	case a := <-got:
		if a.Error != "" {
			return fmt.Errorf("bidi: %s: %s: %s", method, a.Error, a.Message)
		}
		if out == nil {
			return nil
		}
		if err := json.Unmarshal(a.Result, out); err != nil {
			return fmt.Errorf("bidi: %s: %w", method, err)
		}
		return nil
	case <-c.done:
		return fmt.Errorf("bidi: %s: %w", method, ErrClosed)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
		return fmt.Errorf("bidi: %s: %w", method, ctx.Err())
	}
}

func (c *conn) close() {
	_ = c.ws.Close()
	<-c.done
}
