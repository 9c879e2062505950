package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
)

func TestJudgeReach(t *testing.T) {
	at := netip.MustParseAddrPort("203.0.113.7:443")
	silent := errNoAnswer
	for _, tt := range []struct {
		udp, tcp error
		want     string
	}{
		{nil, nil, "ok reach: 203.0.113.7:443 answers from here, by UDP and TCP"},
		{silent, silent, "warn reach: 203.0.113.7:443 does not answer from here: UDP: no answer; TCP: no answer"},
		{silent, nil, "warn reach: 203.0.113.7:443 answers by TCP and not by UDP: no answer"},
		{nil, errors.New("refused"), "warn reach: 203.0.113.7:443 answers by UDP and not by TCP: refused"},
	} {
		wantFindings(t, []finding{judgeReach(at, tt.udp, tt.tcp)}, tt.want)
	}
}

// The check stands in for a server that does not run, and asks one that does.
func TestCheckReach(t *testing.T) {
	free, err := openSockets("127.0.0.1:0", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	at := free.addrPort()
	free.close()
	h := checked(t)
	h.cfg.Listen = at.String()
	wantFindings(t, h.checkReach(t.Context()), fmt.Sprintf("ok reach: %s answers from here, by UDP and TCP", at))

	h.cfg.Media.Advertise = []string{"127.0.0.1:1"} // nobody's: tcpmux
	wantFindings(t, h.checkReach(t.Context()), "warn reach: 127.0.0.1:1 does not answer from here: UDP: refused; TCP: refused")

	conf, err := selfSigned(h.clock(), ones{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = tls.Server(c, conf).Handshake()
			_ = c.Close()
		}
	}()
	h.cfg.Media.Advertise = nil
	wantFindings(t, h.checkReach(t.Context()), fmt.Sprintf("warn reach: %s answers by TCP and not by UDP: refused", at))
	_ = l.Close()
	<-served
}
