package signaling

import (
	"fmt"
	"net/http"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
	"github.com/bedside-video/bedside/turn"
)

// Relay lets the sessions of the server use relays.
type Relay interface {
	// Servers returns what a session is told of relays, with a new credential of its own.
	Servers(session string) ([]wire.ICEServer, error)
	// End makes all credentials of a session worthless and ends what they have allocated. It may be
	// called twice, and for sessions that have had none.
	End(session string)
}

// iceServers returns the relays for a session, an empty list if there are none or something fails: most
// people need no relay.
func (s *session) iceServers() []wire.ICEServer {
	if s.server.deps.Relay == nil {
		return []wire.ICEServer{}
	}
	list, err := s.server.deps.Relay.Servers(s.id)
	if err != nil {
		s.log.Error("no credential for the relay", "error", err)
		return []wire.ICEServer{}
	}
	return list
}

// linkICEServers names relays as RFC 9725 section 4.6 does. What is in quotes is base64, digits and colons.
func linkICEServers(h http.Header, servers []wire.ICEServer) {
	for _, server := range servers {
		for _, url := range server.URLs {
			h.Add("Link", fmt.Sprintf(`<%s>; rel="ice-server"; username=%q; credential=%q; credential-type="password"`,
				url, server.Username, server.Credential))
		}
	}
}

// endRelay ends what the session may relay.
func (s *session) endRelay() {
	if s.server.deps.Relay != nil {
		s.server.deps.Relay.End(s.id)
	}
}

// renewal ticks when the session is to get a new credential: never if there is no relay.
func (s *session) renewal() (tick <-chan time.Time, stop func()) {
	if s.server.deps.Relay == nil {
		return nil, func() {}
	}
	t := time.NewTicker(turn.RenewAfter)
	return t.C, t.Stop
}

// writeICEServers gives the client a new credential. Until the session has joined it has none, but then
// it has not lived for so long.
func (s *session) writeICEServers() error {
	list := s.iceServers()
	if len(list) == 0 {
		return nil // what the client has is better than nothing
	}
	data, err := wire.Encode(&wire.ICEServers{ICEServers: list}, 0)
	if err != nil {
		return err
	}
	return s.write(data, time.Now().Add(writeTimeout))
}
