package lean

import (
	"net"
	"strings"
	"testing"
	"time"
)

// A restart that nobody answers changes nothing; one that is answered moves to the new path, which is
// checked with the new credentials.
func TestRestart(t *testing.T) {
	c, err := New(Options{Now: epoch, Socket: func() (net.PacketConn, error) { return net.ListenUDP("udp4", nil) }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Restarted(lite); err == nil {
		t.Error("an answer to no restart was taken")
	}
	first := c.Offer([]Line{{Mid: "0", Video: true}})
	offer, err := c.Restart()
	if err != nil {
		t.Fatal(err)
	}
	again := strings.NewReplacer(c.next.ufrag, c.own.ufrag, c.next.password, c.own.password, " 3 IN", " 2 IN").Replace(offer)
	if again != first || offer == first {
		t.Errorf("the offer of the restart differs by more than its credentials:\n%s", offer)
	}
	old := c.ice
	if err := c.Restarted(lite); err != nil {
		t.Fatal(err)
	}
	checks, _ := c.next.tick(epoch())
	if len(checks) != 1 || c.takeNext() || c.ice.ufrag != old.ufrag {
		t.Fatalf("%d checks, or moved before one was answered", len(checks))
	}
	c.next.selected = checks[0].to
	c.lapsed = true
	if !c.takeNext() || c.next != nil || *c.remote.Load() != checks[0].to || c.ice.ufrag == old.ufrag {
		t.Error("not on the new path")
	}
	if _, _, _, lapsed, expired := c.control(epoch().Add(time.Second)); lapsed || expired {
		t.Error("the new path counts as lost")
	}
}

const lite = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n" +
	"c=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:serv\r\na=ice-pwd:server-password-22-bytes\r\n" +
	"a=fingerprint:sha-256 AA\r\na=setup:passive\r\na=candidate:1 1 udp 1 10.0.0.1 8443 typ host\r\n"
