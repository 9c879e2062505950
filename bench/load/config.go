package load

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/pion/transport/v4"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/bench/scenario"
)

// Target is a server that a scenario can be played against.
type Target interface {
	// Open prepares the rooms. After an error, too, Close is called.
	Open(ctx context.Context, s scenario.Scenario, p scenario.Plan) error
	// ID is what the server, and with it the tags of packets, know a person by.
	ID(person int) string
	// Guest returns the client of a person: an index of Plan.People. What cfg leaves out is the Target's.
	Guest(person int, cfg bench.Config) Guest
	// Close gives the rooms back, also when ctx has ended.
	Close(ctx context.Context) error
}

// Guest is a client of one person. *bench.Client is one; where a server knows less, a Guest need not
// have more than this, and the verbs that it cannot do are left out. Leave, Mark and Traffic, as of a
// bench.Client, are used if it has them.
type Guest interface {
	Join(ctx context.Context) error
	Connected(ctx context.Context) error
	Drop()
	Close()
	Report() bench.Report
}

// Config says what is run against what. Scenario, Target and HTTP must be set.
type Config struct {
	Scenario   scenario.Scenario
	Target     Target
	HTTP       *http.Client // HTTPClient makes one; also of the joins
	TLS        *tls.Config  // of the WebSockets
	MetricsURL string       // of the server's /metrics; "" where they cannot be had
	PID        int          // of the server's process, if it is on this machine and has no metrics; else 0
	Run        result.Run   // goes into the document; Started and Target.Version are filled in
	Network    Network
	Stack      bench.Stack // carries the media; with bench.Pion links change nothing
	GCM        bool        // people offer AES-128-GCM alone
	Record     bool        // all rooms are recorded: a clinician asks, and everybody agrees
	Verify     float64     // share of the people who decrypt and check every packet, with bench.Lean
	// Clock is the generator's; the zero value is bench.SystemClock.
	Clock bench.Clock
	// Progress is told each second how the run goes, from one goroutine; nil is nobody.
	Progress func(Progress)
	Log      *slog.Logger // nil discards
}

// Network is what people's connections are made of; the zero value is the system's.
type Network struct {
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Listen func() (net.PacketConn, error)
	Net    transport.Net // of PeerConnections
}

// ErrNothingMeasured tells that a run ended before it had something to report.
var ErrNothingMeasured = errors.New("load: interrupted before anything was measured")

// Phase is a part of a run.
type Phase string

// The phases.
const (
	Opening  Phase = "open" // the consultations, by the API
	Ramping  Phase = "ramp"
	Holding  Phase = "hold" // what is measured
	Stopping Phase = "stop"
	Closing  Phase = "close"
)

// Progress is how a run goes.
type Progress struct {
	Phase    Phase
	Left     time.Duration // of the whole plan
	People   int           // with a media connection
	Planned  int           // people of the plan
	Packets  float64       // received a second
	DelayP99 time.Duration // of the last second, 0 for none
	Lost     uint64        // packets of the hold so far
	Failures int           // joins that failed and actions that were refused
}

func (c Config) withDefaults() Config {
	if c.Clock.Now == nil {
		c.Clock = bench.SystemClock()
	}
	if c.Network.Dial == nil {
		c.Network.Dial = new(net.Dialer).DialContext
	}
	if c.Network.Listen == nil {
		c.Network.Listen = func() (net.PacketConn, error) { return net.ListenUDP("udp4", nil) }
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// HTTPClient returns the client that all people share: a browser has its connection to the server open
// when somebody joins, since the page came that way.
func HTTPClient(trust *tls.Config) *http.Client {
	const keep = 64 // idle connections
	t := &http.Transport{TLSClientConfig: trust, MaxIdleConns: keep, MaxIdleConnsPerHost: keep, IdleConnTimeout: time.Minute}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
