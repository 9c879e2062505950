package linkem

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

// ErrUnavailable is returned where there can be no Tunnel: not on Linux, not root, no /dev/net/tun, no
// ip command.
var ErrUnavailable = errors.New("linkem: no tunnel here")

// TunnelConfig describes a Tunnel.
type TunnelConfig struct {
	Number   uint8      // of the tunnel: two with one number cannot be open on one machine
	Up, Down link.Shape // from and to the client's namespace
	Seed     uint64
	// Namespace of another tunnel, whose client is to have this one, too; empty for a new one. It has to be
	// closed before the other.
	Namespace string
}

// Tunnel joins this network namespace and a new one by two TUN devices, with a link in each direction
// between them. What is run in the new one, the client's, sees nothing but the link: its default route
// leads to Server, an address of this machine, where servers that listen on all addresses are
// reached. Nothing is forwarded from there.
type Tunnel struct {
	Namespace      string // as ip netns names it
	Server, Client netip.Addr

	joined   bool // the namespace is another tunnel's
	up, down *pipe
	beat     *Beat
	devices  []*os.File
	wg       sync.WaitGroup
}

// OpenTunnel makes the namespace, the devices and the links.
func OpenTunnel(ctx context.Context, cfg TunnelConfig) (*Tunnel, error) {
	now := time.Now()
	up, err := link.New(now, cfg.Up, cfg.Seed)
	if err != nil {
		return nil, fmt.Errorf("up: %w", err)
	}
	down, err := link.New(now, cfg.Down, link.OtherSeed(cfg.Seed))
	if err != nil {
		return nil, fmt.Errorf("down: %w", err)
	}
	t := &Tunnel{
		Namespace: fmt.Sprintf("bedside-link-%d", cfg.Number),
		Server:    netip.AddrFrom4([4]byte{10, 88, cfg.Number, 1}),
		Client:    netip.AddrFrom4([4]byte{10, 88, cfg.Number, 2}),
	}
	inside := "link0"
	if cfg.Namespace != "" {
		t.Namespace, t.joined, inside = cfg.Namespace, true, fmt.Sprintf("link%d", cfg.Number)
	}
	client, server, err := t.open(ctx, inside, fmt.Sprintf("bslink%d", cfg.Number))
	if err != nil {
		return nil, fmt.Errorf("linkem: tunnel %d: %w", cfg.Number, err)
	}
	t.devices = []*os.File{client, server}
	t.beat = NewBeat()
	t.up = &pipe{src: client, dst: server, link: up, beat: t.beat}
	t.down = &pipe{src: server, dst: client, link: down, beat: t.beat}
	for _, p := range []*pipe{t.up, t.down} {
		t.wg.Go(func() { _ = p.run() }) // it ends when Close closes its device
	}
	return t, nil
}

// Set changes both directions from now on.
func (t *Tunnel) Set(up, down link.Shape) error {
	if err := errors.Join(up.Validate(), down.Validate()); err != nil {
		return fmt.Errorf("linkem: tunnel: %w", err)
	}
	return errors.Join(t.up.set(up), t.down.set(down))
}

// Report returns what happened so far.
func (t *Tunnel) Report() Report {
	return Report{Up: t.up.counters(), Down: t.down.counters()}
}

// Late returns how late the tunnel was since it was last asked.
func (t *Tunnel) Late() Lateness { return t.beat.Take() }

// Drain waits until nothing is on the way or ctx ends: so the last packets of a command that has ended
// reach the server.
func (t *Tunnel) Drain(ctx context.Context) {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if r := t.Report(); r.Up.Held == 0 && r.Down.Held == 0 {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close takes devices and namespace away. Processes that are still in it lose their network.
func (t *Tunnel) Close() error {
	var errs []error
	for _, d := range t.devices {
		errs = append(errs, d.Close())
	}
	t.wg.Wait()
	t.beat.Close()
	if !t.joined {
		errs = append(errs, t.remove())
	}
	return errors.Join(errs...)
}
