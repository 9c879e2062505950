package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pion/stun/v4"
)

// reachTimeout is how long an address may take to answer. All are tried at once.
const reachTimeout = 2 * time.Second

// checkReach asks whether the port answers at the addresses that clients are told, from here: through a
// router it answers only if that sends our own packets back to us, which not all do.
func (h host) checkReach(ctx context.Context) []finding {
	interfaces, err := interfaceAddresses()
	if err != nil {
		return nil // checkAddresses has said so
	}
	at, err := h.advertised(interfaces)
	if err != nil {
		return nil // checkPorts has
	}
	if _, port, _ := net.SplitHostPort(h.cfg.Listen); port == "0" {
		return nil // any that is free: clients are told when it is known
	}
	opened, err := openSockets(h.cfg.Listen, "listen", 1)
	if err == nil {
		return reach(ctx, at, answering(opened))
	}
	if !errors.Is(bind("tcp", h.cfg.Listen), syscall.EADDRINUSE) {
		return nil // checkPorts has said why it cannot be had
	}
	return reach(ctx, at, asking{}) // of the server that runs
}

// prober tries one address by UDP and by TCP. What it returns says more than that there is no answer.
type prober interface {
	udp(ctx context.Context, at netip.AddrPort) error
	tcp(ctx context.Context, at netip.AddrPort) error
	close()
}

func reach(ctx context.Context, at []netip.AddrPort, p prober) []finding {
	defer p.close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	found := make([]finding, len(at))
	var wg sync.WaitGroup
	for i, a := range at {
		runProbe := func() { found[i] = judgeReach(a, p.udp(ctx, a), p.tcp(ctx, a)) }
		wg.Go(runProbe)
	}
	wg.Wait()
	return found
}

func judgeReach(at netip.AddrPort, udp, tcp error) finding {
	const check = "reach"
	const router = "right if a router forwards the port and does not send our own packets back (no hairpin NAT): try from outside, or /precall on a phone; else open the firewall, see below"
	switch {
	case udp == nil && tcp == nil:
		return ok(check, "%s answers from here, by UDP and TCP", at)
	case udp != nil && tcp != nil:
		return warn(check, fmt.Sprintf("%s does not answer from here: UDP: %v; TCP: %v", at, udp, tcp), router)
	case udp != nil:
		return warn(check, fmt.Sprintf("%s answers by TCP and not by UDP: %v", at, udp), "forward and open the port for UDP, too: media over TCP stutters")
	}
	return warn(check, fmt.Sprintf("%s answers by UDP and not by TCP: %v", at, tcp), "forward and open the port for TCP, too: no page opens without")
}

// answers is a stand-in for the server, on its port.
type answers struct {
	sockets
	wg sync.WaitGroup
}

// answering listens where the server would: each datagram is sent back, each connection taken.
func answering(s sockets) *answers {
	a := &answers{sockets: s}
	a.wg.Go(a.runUDP)
	a.wg.Go(a.runTCP)
	return a
}

func (a *answers) runUDP() {
	b := make([]byte, 64)
	for {
		n, from, err := a.sockets.udp[0].ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = a.sockets.udp[0].WriteTo(b[:n], from)
		}
	}
}

func (a *answers) runTCP() {
	for {
		c, err := a.sockets.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = c.Write([]byte("!"))
			_ = c.Close()
		}
	}
}

func (a *answers) close() {
	a.sockets.close()
	a.wg.Wait()
}

func (a *answers) udp(ctx context.Context, at netip.AddrPort) error {
	return exchange(ctx, "udp", at, []byte("bedside check"))
}

func (a *answers) tcp(ctx context.Context, at netip.AddrPort) error {
	return exchange(ctx, "tcp", at, nil)
}

// asking asks the server that runs: for a relay without saying who we are, which it refuses, and for its
// certificate.
type asking struct{}

func (asking) close() {}

func (asking) udp(ctx context.Context, at netip.AddrPort) error {
	m, err := stun.Build(stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.TransactionID)
	if err != nil {
		return err
	}
	return exchange(ctx, "udp", at, m.Raw)
}

func (asking) tcp(ctx context.Context, at netip.AddrPort) error {
	// Whether the certificate is a good one is another check's question.
	c, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", at.String())
	if err != nil {
		return simply(err)
	}
	return c.Close()
}

// exchange sends once and waits for an answer of any kind.
func exchange(ctx context.Context, network string, at netip.AddrPort, b []byte) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, at.String())
	if err != nil {
		return simply(err)
	}
	defer func() { _ = c.Close() }()
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end)
	}
	if len(b) > 0 {
		if _, err := c.Write(b); err != nil {
			return simply(err)
		}
	}
	_, err = c.Read(make([]byte, 1500))
	return simply(err)
}

// errNoAnswer is what a firewall that drops looks like.
var errNoAnswer = errors.New("no answer")

// simply says in a word what an address did not do.
func simply(err error) error {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &timeout) && timeout.Timeout():
		return errNoAnswer
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("refused")
	}
	text := err.Error()
	return errors.New(text[strings.LastIndex(text, ": ")+1:])
}
