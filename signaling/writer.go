package signaling

import (
	"time"

	"github.com/gorilla/websocket"

	"github.com/bedside-video/bedside/signaling/wire"
)

// runWriter is the only writer of messages. It ends with the session, or earlier when the
// connection fails, which it then closes so that the reader notices.
func (s *session) runWriter() {
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	resume := time.NewTicker(resumeRotation)
	defer resume.Stop()
	renewal, stop := s.renewal()
	defer stop()
	for {
		var err error
		select {
		case <-s.finished:
			s.writeLast()
			return
		case data := <-s.queue:
			err = s.write(data, time.Now().Add(writeTimeout))
		case <-ping.C:
			err = s.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
		case <-resume.C:
			err = s.writeResume()
		case <-renewal:
			err = s.writeICEServers()
		}
		if err != nil {
			_ = s.ws.Close()
			return
		}
	}
}

func (s *session) write(data []byte, deadline time.Time) error {
	if err := s.ws.SetWriteDeadline(deadline); err != nil {
		return err
	}
	return s.ws.WriteMessage(websocket.TextMessage, data)
}

// writeResume gives the client a fresh resume token. Until the session has joined there is nothing
// to resume, but then it has not lived for 5 minutes.
func (s *session) writeResume() error {
	c := s.credential
	token, err := s.server.tokens.resume(c.consultation, c.participant, s.id, c.epoch)
	if err != nil {
		s.log.Error("no resume token", "error", err)
		return nil
	}
	data, err := wire.Encode(&wire.Resume{Token: token}, 0)
	if err != nil {
		return err
	}
	return s.write(data, time.Now().Add(writeTimeout))
}

// writeLast writes what is queued, the last message and the close frame, all within one timeout,
// and leaves the client a moment to close from its side: closing a TCP connection with unread data
// would reset it and take the last message back (RFC 1122 section 4.2.2.13).
func (s *session) writeLast() {
	deadline := time.Now().Add(writeTimeout)
	for queued := !s.last.hurry; queued; {
		select {
		case data := <-s.queue:
			if s.write(data, deadline) != nil {
				queued = false
			}
		default:
			queued = false
		}
	}
	if s.last.message == nil { // the client has gone: nobody reads
		_ = s.ws.Close()
		return
	}
	if data, err := wire.Encode(s.last.message, 0); err == nil {
		_ = s.write(data, deadline)
	}
	closing := websocket.FormatCloseMessage(s.last.code, "")
	_ = s.ws.WriteControl(websocket.CloseMessage, closing, deadline)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lingering = true
	_ = s.ws.SetReadDeadline(time.Now().Add(lingerTimeout))
}
