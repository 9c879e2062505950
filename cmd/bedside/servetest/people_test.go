package servetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// consultation is what the API tells of one.
type consultation struct {
	ID           string        `json:"id"`
	ExternalID   string        `json:"external_id"`
	State        string        `json:"state"`
	Participants []participant `json:"participants"`
}

type participant struct {
	ID      string `json:"id"`
	Role    string `json:"role"`
	Revoked bool   `json:"revoked"`
	JoinURL string `json:"join_url"`
}

func (p participant) invitation() string {
	_, secret, _ := strings.Cut(p.JoinURL, "#")
	return secret
}

// with returns the participant with a role.
func (c consultation) with(role string) participant {
	for _, p := range c.Participants {
		if p.Role == role {
			return p
		}
	}
	return participant{}
}

func newConsultation(externalID string) any {
	type person struct {
		Role string `json:"role"`
	}
	return struct {
		ExternalID   string   `json:"external_id"`
		Participants []person `json:"participants"`
	}{externalID, []person{{"clinician"}, {"patient"}, {"carer"}}}
}

// errRefused tells that the server said no.
var errRefused = errors.New("refused")

// token exchanges an invitation.
func (p *process) token(ctx context.Context, invitation string) (string, error) {
	status, answer, err := p.request(ctx, http.MethodPost, "/v1/join", map[string]string{"invitation": invitation})
	if err != nil {
		return "", err
	}
	var got struct {
		Token string `json:"token"`
		Code  string `json:"code"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("%w: %d %s", errRefused, status, got.Code)
	}
	return got.Token, nil
}

// message is what a test reads of any message.
type message struct {
	Type   string `json:"type"`
	Re     int    `json:"re"`
	State  string `json:"state"`
	Reason string `json:"reason"`
	Code   string `json:"code"`
	Resume string `json:"resume"`
}

// visitor is somebody at the WebSocket.
type visitor struct {
	ws     *websocket.Conn
	joined message
	next   int
}

// enter joins with an invitation.
func (p *process) enter(ctx context.Context, invitation string) (*visitor, error) {
	token, err := p.token(ctx, invitation)
	if err != nil {
		return nil, err
	}
	return p.connect(ctx, "token", token)
}

// connect joins with a token of a kind: token or resume.
func (p *process) connect(ctx context.Context, kind, token string) (*visitor, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"bedside.v1"}, HandshakeTimeout: startTimeout}
	ws, resp, err := dialer.DialContext(ctx, strings.Replace(p.url, "http", "ws", 1)+"/v1/connect", nil)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	v := &visitor{ws: ws}
	if v.joined, err = v.ask(map[string]any{"type": "join", kind: token, "client": "test"}); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// ask sends a message and returns the reply to it.
func (v *visitor) ask(m map[string]any) (message, error) {
	v.next++
	m["id"] = v.next
	if err := v.ws.WriteJSON(m); err != nil {
		return message{}, err
	}
	return v.until(func(m message) bool { return m.Re == v.next })
}

// until reads messages until one is as wanted.
func (v *visitor) until(wanted func(message) bool) (message, error) {
	if err := v.ws.SetReadDeadline(time.Now().Add(startTimeout)); err != nil {
		return message{}, err
	}
	for {
		var m message
		if err := v.ws.ReadJSON(&m); err != nil {
			return m, err
		}
		if wanted(m) {
			if m.Type == "error" {
				return m, fmt.Errorf("%w: %s", errRefused, m.Code)
			}
			return m, nil
		}
	}
}

func (v *visitor) close() { _ = v.ws.Close() }
