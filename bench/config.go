package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/pion/transport/v4"

	"github.com/bedside-video/bedside/bench/lean"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Config is what a Client is made of. BaseURL, Invitation and HTTP must be set; the zero value of
// everything else is usable.
type Config struct {
	BaseURL    string       // scheme and host of the server, http or https
	Invitation string       // exchanged for a session token by Join
	HTTP       *http.Client // for POST /v1/join
	// DialContext opens the WebSocket's connection; nil dials TCP.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	TLS         *tls.Config // of the WebSocket; nil trusts what the system trusts
	// Net is the network of the PeerConnection; nil is the system's.
	Net      transport.Net
	Loopback bool  // gather loopback candidates too
	Stack    Stack // Pion, unless Lean is set
	// Socket opens the socket of a connection, which closes it. Nil: Lean opens any UDP port of the
	// system, Pion one on each address of Net.
	Socket func() (net.PacketConn, error)
	// Relay sends all media through a relay that the server names when the Client joins.
	Relay Relay
	// GCM offers AES-128-GCM alone, so that servers which are compared do the same work; with one that
	// does not take it there is no connection.
	GCM bool
	// Certificate is the DTLS identity of Lean, which many Clients may share; nil makes one.
	Certificate *lean.Certificate
	// Verify makes Lean decrypt and check every packet. Without, it counts by the clear headers, and
	// looks into one packet of 16, all that were sent again, and all while something is missing, a key
	// frame is awaited or the last look saw somebody else than whose the slot is. Counts and freezes are
	// the same; a change of layer is seen up to 16 packets late, and the numbers that VP8 decoders go by
	// (Continuity) are hardly checked.
	Verify   bool
	Clock    Clock // the zero value is SystemClock
	Seed     uint64
	Media    Media
	Stream   string // the msid stream id of what is published; one is drawn if empty
	Observer Observer
	Log      *slog.Logger // nil discards
	Defects  Defects
}

// Media is what a Client publishes. A nil track is not offered.
type Media struct {
	Camera *Video
	Mic    *Audio
	Screen *Video // offered from the start, sent from Share on
	// Repeat has audio that is lost asked for, and sends it again when it is asked, where the server does
	// the same: as bedside.js has Chromium do.
	Repeat bool
	Uplink *Uplink // nil: does at once as the server asks, with a way up without end
}

// Defects are the ways in which a Client breaks the rules, to see that the server holds.
type Defects struct {
	MediaInLobby bool // sends media before it is admitted
	MediaMuted   bool // goes on sending a track that it has muted
	AllLayers    bool // sends every encoding, wanted or not
}

// Observer is told what happens, from the Client's goroutines: its functions must not block and must
// not call the Client. Any may be nil.
type Observer struct {
	Message func(now time.Time, m wire.ServerMessage)
	Packet  func(now time.Time, a Arrival)
	// Connected is told when the media connection is up (true) or given up (false).
	Connected func(now time.Time, up bool)
	// Step is told of the milestones of each Join and Reconnect.
	Step func(now time.Time, s Step)
	// Raw sees each WebSocket message as it was on the wire, read (true) or written.
	Raw func(received bool, data []byte)
}

// Arrival is one received packet that carries a tag.
type Arrival struct {
	Mid       string
	Tag       Tag
	Timestamp uint32
	Repaired  bool
}

// Errors that callers of a Client branch on.
var (
	ErrClosed = errors.New("bench: client is closed")
	ErrEnded  = errors.New("bench: the session has ended")
)

// RemoteError is a refusal by the server: an error message or a problem document.
type RemoteError struct {
	Code   string // one of the codes of package wire
	Status int    // of an HTTP response, 0 for a WebSocket message
	// OpensAt and ClosedAt are set with not_yet_open and window_closed (RFC 3339).
	OpensAt, ClosedAt string
}

func (e *RemoteError) Error() string { return "bench: the server refused: " + e.Code }

// withDefaults fills in what may be left out.
func (c Config) withDefaults() Config {
	if c.Clock.Now == nil {
		c.Clock = SystemClock()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observer.Message == nil {
		c.Observer.Message = func(time.Time, wire.ServerMessage) {}
	}
	if c.Observer.Packet == nil {
		c.Observer.Packet = func(time.Time, Arrival) {}
	}
	if c.Observer.Connected == nil {
		c.Observer.Connected = func(time.Time, bool) {}
	}
	if c.Observer.Step == nil {
		c.Observer.Step = func(time.Time, Step) {}
	}
	if c.Observer.Raw == nil {
		c.Observer.Raw = func(bool, []byte) {}
	}
	return c
}
