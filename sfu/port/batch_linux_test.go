package port

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"golang.org/x/sys/unix"
)

const testDeadline = time.Minute

// ways are the Ports that must not differ in what they deliver.
func ways() []way {
	return []way{
		{"batched", Options{}},
		{"without GSO", Options{NoGSO: true}},
		{"without GRO", Options{NoGRO: true}},
		{"portable", Options{Portable: true}},
	}
}

type way struct {
	name    string
	options Options
}

func listen(t testing.TB, network, address string) *net.UDPConn {
	t.Helper()
	at, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP(network, at)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newPort(t testing.TB, conn net.PacketConn, o Options) *Port {
	t.Helper()
	p, err := New(conn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// heap is a Receiver that passes on what it gets.
type heap struct{ arrived chan []byte }

func (h *heap) Check(m *stun.Message, _ netip.AddrPort) { h.arrived <- bytes.Clone(m.Raw) }
func (h *heap) DTLS(b []byte, _ netip.AddrPort)         { h.arrived <- bytes.Clone(b) }
func (h *heap) Media(b []byte, _ netip.AddrPort)        { h.arrived <- bytes.Clone(b) }
func (h *heap) Flush()                                  {}

// endpointOf makes an endpoint that gets so many datagrams at most.
func endpointOf(t testing.TB, p *Port, ufrag string, most int) *heap {
	t.Helper()
	h := &heap{arrived: make(chan []byte, most)}
	if err := p.Open(ufrag, "password of "+ufrag, h); err != nil {
		t.Fatal(err)
	}
	return h
}

// next waits for a datagram.
func (h *heap) next(t testing.TB) []byte {
	t.Helper()
	select {
	case b := <-h.arrived:
		return b
	case <-time.After(testDeadline):
		t.Fatal("nothing arrives")
		return nil
	}
}

func checkOf(t testing.TB, ufrag string) []byte {
	t.Helper()
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(ufrag+":client"),
		stun.NewShortTermIntegrity("password of "+ufrag), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func addrOf(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// packet is the n-th of somebody, with a content that nothing else has.
func packet(whose, n, size int) []byte {
	b := bytes.Repeat([]byte{byte(whose), byte(n), byte(n >> 8)}, size/3+1)[:size]
	b[0] = 0x80
	return b
}

// sizes that video and audio have, and those that make messages end.
func someSizes(rng *rand.Rand, n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = []int{1116, 1116, 1116, 1116, 1117, 700, 96, 1452, 1500, 3}[rng.IntN(10)]
	}
	return list
}

// Whatever way a Port sends, everybody gets the same packets in the same order.
func TestSendsTheSameEveryWay(t *testing.T) {
	for _, network := range []struct{ name, network, server, client string }{
		{"IPv4", "udp4", "127.0.0.1:0", "127.0.0.1:0"},
		{"IPv6", "udp6", "[::1]:0", "[::1]:0"},
		{"IPv4 from an IPv6 socket", "udp", "[::]:0", "127.0.0.1:0"},
	} {
		for _, w := range ways() {
			t.Run(network.name+" "+w.name, func(t *testing.T) {
				sendsTheSame(t, newPort(t, listen(t, network.network, network.server), w.options), network.client)
			})
		}
	}
}

func sendsTheSame(t *testing.T, p *Port, client string) {
	const clients, packets, round = 7, 300, 30 // what a round sends fits any socket's buffer
	rng := rand.New(rand.NewPCG(5, 1))
	var ears [clients]*net.UDPConn
	var sizes [clients][]int
	for i := range clients {
		ears[i] = listen(t, "udp", client)
		sizes[i] = someSizes(rng, packets)
	}
	buf := make([]byte, datagramBytes)
	for first := 0; first < packets; first += round {
		for n := first; n < first+round; n++ {
			for i := range ears {
				if err := p.Write(packet(i, n, sizes[i][n]), addrOf(ears[i])); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, ear := range ears {
			_ = ear.SetReadDeadline(time.Now().Add(testDeadline))
			for n := first; n < first+round; n++ {
				size, err := ear.Read(buf)
				if err != nil {
					t.Fatalf("client %d, packet %d: %v", i, n, err)
				}
				if want := packet(i, n, sizes[i][n]); !bytes.Equal(buf[:size], want) {
					t.Fatalf("client %d got another packet than %d (%d bytes, want %d)", i, n, size, len(want))
				}
			}
		}
	}
	await(t, func() bool { return p.stats.sent.Load() == clients*packets }) // counted after it has been sent
}

// Whatever way a Port receives, it delivers the same; the clients send as the server does, so that
// there is something for GRO.
func TestReceivesTheSameEveryWay(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			const clients, packets, round = 7, 300, 20 // what a round sends fits any socket's buffer
			rng := rand.New(rand.NewPCG(5, 2))
			p := newPort(t, listen(t, "udp4", "127.0.0.1:0"), w.options)
			server := p.LocalAddr().(*net.UDPAddr).AddrPort()
			var heaps [clients]*heap
			var mouths [clients]link
			var sizes [clients][]int
			for i := range clients {
				stats := newCounters()
				socket := listen(t, "udp4", "127.0.0.1:0")
				l, err := newBatches([]net.PacketConn{socket}, &stats, Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = l[0].close() })
				ufrag := fmt.Sprint("client", i)
				heaps[i], mouths[i], sizes[i] = endpointOf(t, p, ufrag, packets+1), l[0], someSizes(rng, packets)
				_ = mouths[i].send(0, checkOf(t, ufrag), server)
			}
			for _, h := range heaps {
				h.next(t) // the check
			}
			for first := 0; first < packets; first += round {
				for n := first; n < first+round; n++ {
					for i, m := range mouths {
						_ = m.send(0, packet(i, n, sizes[i][n]), server)
					}
				}
				for i, h := range heaps {
					for n := first; n < first+round; n++ {
						if got, want := h.next(t), packet(i, n, sizes[i][n]); !bytes.Equal(got, want) {
							t.Fatalf("client %d: another packet than %d (%d bytes, want %d)", i, n, len(got), len(want))
						}
					}
				}
			}
		})
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		name          string
		size, segment int
		want          string
	}{
		{"alone", 1116, 0, "[1116]"},
		{"empty", 0, 0, "[0]"},
		{"equal", 3000, 1000, "[1000 1000 1000]"},
		{"a shorter tail", 2500, 1000, "[1000 1000 500]"},
		{"a segment longer than all", 500, 1000, "[500]"},
		{"longer than any datagram may be", 5000, 4000, "[2048 1000]"},
		{"nonsense", 10, -1, "[10]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []int
			n := split(make([]byte, tt.size), tt.segment, netip.AddrPort{}, func(b []byte, _ netip.AddrPort) { got = append(got, len(b)) })
			if fmt.Sprint(got) != tt.want || n != len(got) {
				t.Errorf("got %d, %v, want %s", n, got, tt.want)
			}
		})
	}
}

// faulty is a kernel that refuses, by turns, what a test says.
type faulty struct {
	mu    sync.Mutex
	send  []syscall.Errno // of the calls to come; 0 lets a call through
	read  []syscall.Errno
	calls int
	// gso, if not 0, is the error of every call whose first message is to be cut.
	gso syscall.Errno
}

func (f *faulty) kernel() kernel {
	real := linux()
	return kernel{
		receive: func(fd uintptr, h []mmsghdr) (int, syscall.Errno) {
			if e := f.next(&f.read); e != 0 {
				return 0, e
			}
			return real.receive(fd, h)
		},
		send: func(fd uintptr, h []mmsghdr) (int, syscall.Errno) {
			if e := f.next(&f.send); e != 0 {
				return 0, e
			}
			for i := range h {
				if f.gso == 0 || h[i].header.Control == nil {
					continue
				}
				if i == 0 {
					return 0, f.gso
				}
				h = h[:i]
				break
			}
			return real.send(fd, h)
		},
	}
}

func (f *faulty) next(list *[]syscall.Errno) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if len(*list) == 0 {
		return 0
	}
	e := (*list)[0]
	*list = (*list)[1:]
	return e
}

// An error of the kernel costs at most the message that it is about, and no call ends.
func TestSendErrors(t *testing.T) {
	const taken = 0
	for _, tt := range []struct {
		name     string
		errs     []syscall.Errno // of the calls, one after the other; taken afterwards
		gso      syscall.Errno   // of messages that are to be cut
		lost     uint64          // datagrams of 10 messages of 3
		refused  uint64          // messages
		stillGSO bool
	}{
		{"none", nil, taken, 0, 0, true},
		{"an error of an earlier datagram", []syscall.Errno{unix.ECONNREFUSED}, taken, 0, 0, true},
		{"no buffers, once", []syscall.Errno{unix.ENOBUFS}, taken, 0, 0, true},
		{"no buffers, twice", []syscall.Errno{unix.ENOBUFS, unix.ENOBUFS}, taken, 3, 0, true},
		{"no buffers, for three messages", []syscall.Errno{unix.ENOBUFS, unix.ENOBUFS, unix.ENOBUFS, unix.ENOBUFS, unix.ENOBUFS, unix.ENOBUFS}, taken, 9, 0, true},
		{"by turns", []syscall.Errno{unix.ENOBUFS, taken, unix.ECONNREFUSED, taken, unix.EHOSTUNREACH}, taken, 0, 0, true},
		{"interrupted", []syscall.Errno{unix.EINTR, unix.EINTR, unix.EINTR}, taken, 0, 0, true},
		{"forbidden by a firewall", []syscall.Errno{unix.EPERM, unix.EPERM}, taken, 3, 0, true},
		{"a device without checksums", nil, unix.EIO, 0, 10, false},
		{"segmentation unknown", nil, unix.ENOPROTOOPT, 0, 10, false},
		{"paths with a small MTU", nil, unix.EINVAL, 0, 10, false},
		{"one path with a small MTU", []syscall.Errno{unix.EINVAL}, taken, 0, 1, true},
		{"five in a row", []syscall.Errno{unix.EMSGSIZE, taken, taken, taken, unix.EMSGSIZE, taken, taken, taken, unix.EMSGSIZE, taken, taken, taken,
			unix.EMSGSIZE, taken, taken, taken, unix.EMSGSIZE}, taken, 0, 5, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &faulty{}
			stats := newCounters()
			b, err := openBatch(listen(t, "udp4", "127.0.0.1:0"), &stats, Options{}, f.kernel(), &group{})
			if err != nil {
				t.Fatal(err)
			}
			if !b.sender.offload.on.Load() {
				t.Skip("SKIPPED: this kernel does not cut messages")
			}
			f.send, f.gso = tt.errs, tt.gso
			const messages, packets = 10, 3
			var ears [messages]*net.UDPConn
			for i := range ears {
				ears[i] = listen(t, "udp4", "127.0.0.1:0")
			}
			for n := range packets {
				for i, ear := range ears {
					b.out.put(0, packet(i, n, 1000), addrOf(ear))
				}
			}
			b.drain()

			if got := stats.writeErrors.Load(); got != tt.lost {
				t.Errorf("counted %d datagrams lost, want %d", got, tt.lost)
			}
			if got := stats.sent.Load(); got != messages*packets-tt.lost {
				t.Errorf("counted %d datagrams sent, want %d", got, messages*packets-tt.lost)
			}
			if got := stats.gsoRefused.Load(); got != tt.refused {
				t.Errorf("counted %d messages refused, want %d", got, tt.refused)
			}
			if got := b.sender.offload.on.Load(); got != tt.stillGSO {
				t.Errorf("GSO is on: %v, want %v", got, tt.stillGSO)
			}
			if got := uint64(countArrived(t, ears[:], packets)); got != messages*packets-tt.lost {
				t.Errorf("%d datagrams arrived, want %d", got, messages*packets-tt.lost)
			}
		})
	}
}

// take receives a datagram if one is there. A deadline in the near future would be over before a busy machine has let
// the process look, and after a deadline nothing is read that is there.
func take(t *testing.T, socket *net.UDPConn, buf []byte, flags int) (size int, there bool) {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno error
	if err := raw.Read(func(fd uintptr) bool {
		size, _, errno = unix.Recvfrom(int(fd), buf, flags|unix.MSG_DONTWAIT)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if errno != nil && errno != unix.EAGAIN {
		t.Fatal(errno)
	}
	return size, errno == nil
}

// countArrived reads what everybody has got, which must be in order: on the loopback a datagram has
// arrived when it has been sent.
func countArrived(t *testing.T, ears []*net.UDPConn, packets int) (all int) {
	t.Helper()
	buf := make([]byte, datagramBytes)
	for i, ear := range ears {
		for n := range packets {
			size, there := take(t, ear, buf, 0)
			if !there {
				break
			}
			if !bytes.Equal(buf[:size], packet(i, n, 1000)) {
				t.Errorf("destination %d got another packet than %d", i, n)
			}
			all++
		}
	}
	return all
}

// An error of the kernel is that of a datagram: no call ends, and whatever came is delivered.
func TestReceiveErrors(t *testing.T) {
	f := &faulty{}
	socket := listen(t, "udp4", "127.0.0.1:0")
	p, err := open(socket.LocalAddr(), nil, func(stats *counters) ([]link, error) {
		g := &group{}
		b, err := openBatch(socket, stats, Options{}, f.kernel(), g)
		if err != nil {
			return nil, err
		}
		g.all = append(g.all, b)
		// The first call comes before anything is there to be read.
		f.read = []syscall.Errno{unix.ECONNREFUSED, unix.ENOBUFS, unix.EINTR, unix.ENOMEM, unix.EIO}
		return g.start(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	client := listen(t, "udp4", "127.0.0.1:0")
	h := endpointOf(t, p, "client", 2)
	for _, b := range [][]byte{checkOf(t, "client"), packet(1, 1, 500)} {
		if _, err := client.WriteToUDPAddrPort(b, addrOf(socket)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		h.next(t)
	}
	if got := p.stats.readErrors.Load(); got != 4 { // an interruption is none
		t.Errorf("counted %d read errors, want 4", got)
	}
}

// With the kernel stuck, what waits stays bounded, and nobody waits for room.
func TestFullOutboxDropsTheNewest(t *testing.T) {
	for _, tt := range []struct {
		name       string
		size, room int
	}{
		{"too many", 100, outboxDatagrams},
		{"too large", 2000, outboxBytes / 2000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stats := newCounters()
			b, err := openBatch(listen(t, "udp4", "127.0.0.1:0"), &stats, Options{}, linux(), &group{})
			if err != nil {
				t.Fatal(err)
			}
			d := packet(1, 1, tt.size)
			b.sender.mu.Lock() // the kernel has no room, and somebody waits for that
			defer b.sender.mu.Unlock()
			for range tt.room + 3 {
				if err := b.send(0, d, netip.MustParseAddrPort("127.0.0.1:9")); err != nil {
					t.Fatal(err)
				}
			}
			if got := stats.sendDropped.Load(); got != 3 {
				t.Errorf("dropped %d, want 3", got)
			}
		})
	}
}

// What was given to the port before it closes is sent: a DTLS alert, that a call has ended.
func TestCloseSendsWhatWaits(t *testing.T) {
	p := newPort(t, listen(t, "udp4", "127.0.0.1:0"), Options{})
	ear := listen(t, "udp4", "127.0.0.1:0")
	for n := range 100 {
		_ = p.Write(packet(1, n, 100), addrOf(ear))
	}
	_ = p.Close()
	if got := p.stats.sent.Load(); got != 100 {
		t.Errorf("sent %d, want 100", got)
	}
}

// A datagram costs no allocation, be it received or sent, on the real path.
func TestDatagramsAllocateNothing(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			p := newPort(t, listen(t, "udp4", "127.0.0.1:0"), w.options)
			client := listen(t, "udp4", "127.0.0.1:0")
			server, at := p.LocalAddr().(*net.UDPAddr).AddrPort(), addrOf(client)
			f := &fan{port: p, to: []netip.AddrPort{at}}
			if err := p.Open("client", "password of client", f); err != nil {
				t.Fatal(err)
			}
			b, buf := packet(1, 1, 1116), make([]byte, datagramBytes)
			if _, err := client.WriteToUDPAddrPort(checkOf(t, "client"), server); err != nil {
				t.Fatal(err)
			}
			roundTrip := func() {
				if _, err := client.WriteToUDPAddrPort(b, server); err != nil {
					t.Fatal(err)
				}
				if _, _, err := client.ReadFromUDPAddrPort(buf); err != nil {
					t.Fatal(err)
				}
			}
			roundTrip()
			if n := testing.AllocsPerRun(1000, roundTrip); n != 0 {
				t.Errorf("%v allocations a round trip", n)
			}
		})
	}
}

func TestManglesSegments(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.44-fc-v595": false, "7.0.2-6-pve": true, "7.1.4": true, "7.1.5": false, "7.1": true, "7.2.0": false, "5.15.0-91": false, "": false, "7": true,
	} {
		if got := manglesSegments(release); got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

// fan is a Receiver that writes the media it gets to everybody.
type fan struct {
	port *Port
	to   []netip.AddrPort
}

func (f *fan) Check(*stun.Message, netip.AddrPort) {}
func (f *fan) DTLS([]byte, netip.AddrPort)         {}
func (f *fan) Flush()                              {}
func (f *fan) Media(b []byte, _ netip.AddrPort) {
	for _, to := range f.to {
		_ = f.port.Write(b, to)
	}
}

// await waits for what another goroutine is about to do.
func await(t testing.TB, cond func() bool) {
	t.Helper()
	deadline := time.After(testDeadline)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it does not happen")
		}
	}
}

// What the kernel drops because nobody reads is counted as soon as it says so: with the next datagram.
func TestCountsWhatTheKernelDrops(t *testing.T) {
	stats := newCounters()
	socket := listen(t, "udp4", "127.0.0.1:0")
	b, err := openBatch(socket, &stats, Options{}, linux(), &group{})
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	client := listen(t, "udp4", "127.0.0.1:0")
	got := 0
	read := func() {
		for { // all that there is, is there
			if _, more := take(t, socket, nil, unix.MSG_PEEK); !more {
				return
			}
			if err := b.receive(func([]byte, netip.AddrPort) { got++ }, func() {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	const sent = 200
	for n := range sent {
		say(t, client, addrOf(socket), packet(1, n, 1000))
	}
	read()
	say(t, client, addrOf(socket), packet(1, sent, 1000))
	read()
	if dropped := int(stats.kernelDropped.Load()); dropped == 0 || dropped+got != sent+1 {
		t.Errorf("of %d datagrams %d were received and %d counted as dropped", sent+1, got, dropped)
	}
}

func TestControl(t *testing.T) {
	var c control
	var h unix.Msghdr
	c.segment(&h, 1116)
	if segment, _, told := c.read(int(h.Controllen)); segment != 0 || told {
		t.Error("what is asked of the kernel is read as what it tells")
	}
	for _, tt := range []struct {
		name    string
		build   func(b []byte) int
		segment int
		dropped uint32
		told    bool
	}{
		{"nothing", func([]byte) int { return 0 }, 0, 0, false},
		{"GRO", func(b []byte) int { return tell(b, unix.IPPROTO_UDP, unix.UDP_GRO, 1116) }, 1116, 0, false},
		{"drops", func(b []byte) int { return tell(b, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 7) }, 0, 7, true},
		{"both", func(b []byte) int {
			n := tell(b, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 7)
			return n + tell(b[n:], unix.IPPROTO_UDP, unix.UDP_GRO, 500)
		}, 500, 7, true},
		{"something else first", func(b []byte) int {
			n := tell(b, unix.IPPROTO_IP, unix.IP_TOS, 3)
			return n + tell(b[n:], unix.IPPROTO_UDP, unix.UDP_GRO, 500)
		}, 500, 0, false},
		{"cut short", func(b []byte) int {
			return tell(b, unix.IPPROTO_UDP, unix.UDP_GRO, 500) - unix.CmsgSpace(4) + unix.CmsgLen(3)
		}, 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c control
			segment, dropped, told := c.read(tt.build(c.bytes[:]))
			if segment != tt.segment || dropped != tt.dropped || told != tt.told {
				t.Errorf("got %d, %d, %v", segment, dropped, told)
			}
		})
	}
}

// tell writes what the kernel would and returns how long it is.
func tell(b []byte, level, kind int32, value uint32) int {
	var c control
	m := c.header()
	m.Level, m.Type = level, kind
	m.SetLen(unix.CmsgLen(4))
	binary.NativeEndian.PutUint32(c.bytes[unix.CmsgLen(0):], value)
	copy(b, c.bytes[:unix.CmsgSpace(4)])
	return unix.CmsgSpace(4)
}

// bursts is a Receiver that writes down when media and the end of a burst come.
type bursts struct{ told chan byte }

func (b *bursts) Check(*stun.Message, netip.AddrPort) {}
func (b *bursts) DTLS([]byte, netip.AddrPort)         {}
func (b *bursts) Media([]byte, netip.AddrPort)        { b.told <- 'm' }
func (b *bursts) Flush()                              { b.told <- '.' }

// Of a burst that is read with one call, each endpoint is told the end once, after its last datagram: those
// of which something came, and nobody else.
func TestEveryBurstIsFlushed(t *testing.T) {
	server := listen(t, "udp4", "127.0.0.1:0")
	p := &Port{readers: make([]reader, 1), endpoints: map[string]*endpoint{}, stats: newCounters()}
	b, err := openBatch(server, &p.stats, Options{}, linux(), &group{})
	if err != nil {
		t.Fatal(err)
	}
	r := &p.readers[0]
	r.demux = newDemux(p, 0)
	two := map[string]*bursts{}
	for _, name := range []string{"one", "two"} {
		two[name] = &bursts{told: make(chan byte, 100)}
		if err := p.Open(name, "password", two[name]); err != nil {
			t.Fatal(err)
		}
		client := listen(t, "udp4", "127.0.0.1:0")
		at := addrOf(client)
		r.demux.addresses[at] = p.endpoints[name]
		if name == "one" {
			for n := range 7 {
				say(t, client, addrOf(server), packet(1, n, 1000))
			}
		}
	}
	if err := b.receive(r.demux.route, r.demux.flush); err != nil {
		t.Fatal(err)
	}
	if got := string(drain(two["one"].told)); got != "mmmmmmm." {
		t.Errorf("a burst of seven: %q", got)
	}
	if got := string(drain(two["two"].told)); got != "" {
		t.Errorf("nothing came for two, which is told %q", got)
	}
}

func drain(c chan byte) (all []byte) {
	for {
		select {
		case x := <-c:
			all = append(all, x)
		default:
			return all
		}
	}
}
