package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Relay is by which transport a Client reaches the relay through which all its media goes.
type Relay string

// The transports. NoRelay sends media as far as it gets by itself.
const (
	NoRelay  Relay = ""
	RelayUDP Relay = "udp"
	RelayTCP Relay = "tcp"
	RelayTLS Relay = "tls"
	// DirectTCP is no relay: media goes to the server itself over TCP, as where UDP is blocked. Lean only.
	DirectTCP Relay = "direct tcp"
)

// relayTimeout bounds connecting to the relay.
const relayTimeout = 10 * time.Second

// ErrNoRelay tells that the server offers no relay by that transport.
var ErrNoRelay = errors.New("bench: no relay by that transport")

// through returns a configuration whose sockets are allocations of a relay that the server has named.
func (r Relay) through(cfg Config, servers []wire.ICEServer) Config {
	if r == NoRelay {
		return cfg
	}
	direct := cfg
	if r == DirectTCP {
		cfg.Socket = func() (net.PacketConn, error) { return newFramed(direct), nil }
		return cfg
	}
	cfg.Socket = func() (net.PacketConn, error) { return r.allocate(direct, servers) }
	return cfg
}

// find returns the relay by that transport and its address.
func (r Relay) find(servers []wire.ICEServer) (wire.ICEServer, string, error) {
	scheme, transport := "turn:", string(r)
	if r == RelayTLS {
		scheme, transport = "turns:", "tcp"
	}
	for _, s := range servers {
		for _, u := range s.URLs {
			rest, ok := strings.CutPrefix(u, scheme)
			if at, how, _ := strings.Cut(rest, "?transport="); ok && how == transport {
				return s, at, nil
			}
		}
	}
	return wire.ICEServer{}, "", ErrNoRelay
}

// allocate asks the relay for an address, and returns what is sent and received there.
func (r Relay) allocate(cfg Config, servers []wire.ICEServer) (net.PacketConn, error) {
	server, at, err := r.find(servers)
	if err != nil {
		return nil, err
	}
	conn, err := r.connect(cfg, at)
	if err != nil {
		return nil, fmt.Errorf("bench: relay: %w", err)
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: at, Conn: conn, Net: cfg.Net, Username: server.Username, Password: server.Credential,
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bench: relay: %w", err), conn.Close())
	}
	a := &allocation{client: client, conn: conn}
	if err = client.Listen(); err == nil {
		a.PacketConn, err = client.Allocate()
	}
	if err != nil {
		client.Close()
		return nil, errors.Join(fmt.Errorf("bench: relay: %w", err), conn.Close())
	}
	return a, nil
}

// connect opens the way to the relay.
func (r Relay) connect(cfg Config, at string) (net.PacketConn, error) {
	if r == RelayUDP {
		if cfg.Socket != nil {
			return cfg.Socket()
		}
		return net.ListenPacket("udp4", ":0")
	}
	ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
	defer cancel()
	dial := cfg.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, err := dial(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	if r == RelayTLS {
		conf := cfg.TLS.Clone()
		if conf == nil {
			conf = &tls.Config{}
		}
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(at)
		}
		encrypted := tls.Client(c, conf)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c = encrypted
	}
	return turn.NewSTUNConn(c), nil
}

// allocation is a relayed address.
type allocation struct {
	net.PacketConn
	client *turn.Client
	conn   net.PacketConn
}

// Close gives the address back.
func (a *allocation) Close() error {
	err := a.PacketConn.Close()
	a.client.Close()
	return errors.Join(err, a.conn.Close())
}
