package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// closeFlush bounds how long close waits for what is still to be sent.
	closeFlush = 100 * time.Millisecond
	// settleTurns bounds how often the sender lets others run before it sends: see settle.
	settleTurns = 4
	// flushDatagrams is when a burst is too long to wait for its end. Whoever puts the last of them in sends them:
	// the sender's turn may be far away. A frame for a hundred people is 500 datagrams: with 512 here the median delay
	// was a quarter longer, and no processor time was saved (docs/performance.md).
	flushDatagrams = 128
)

// batch is many datagrams with one system call, and many of one destination as one message, which the
// kernel cuts (GSO) or has put together (GRO).
type batch struct {
	conn  *net.UDPConn
	raw   syscall.RawConn
	k     kernel
	stats *counters
	ipv6  bool
	group *group

	in       *inbox // the receiver's, as are the next two
	received int
	errno    syscall.Errno
	fill     func(fd uintptr) bool // made once, so that it is not allocated for each call

	out    outbox
	done   chan struct{}
	wg     sync.WaitGroup
	sender sender
}

// group is the batches of one address. Datagrams for one destination go through one of them, whoever
// writes them, so that they keep their order.
type group struct {
	all    []*batch
	bursts atomic.Int32 // receivers that work one off
}

// newBatches returns nil for what are not UDP sockets of the system.
func newBatches(conns []net.PacketConn, stats *counters, o Options) ([]link, error) {
	g := &group{}
	for _, c := range conns {
		udp, ok := c.(*net.UDPConn)
		if !ok {
			return nil, nil
		}
		b, err := openBatch(udp, stats, o, linux(), g)
		if err != nil {
			return nil, err
		}
		g.all = append(g.all, b)
	}
	return g.start(), nil
}

// start makes the batches send.
func (g *group) start() []link {
	links := make([]link, len(g.all))
	for i, b := range g.all {
		b.wg.Go(b.runSender)
		links[i] = b
	}
	return links
}

// flush sends what waits anywhere.
func (g *group) flush() {
	for _, b := range g.all {
		if b.out.length() > 0 {
			b.flush()
		}
	}
}

// openBatch makes a batch that does not send yet.
func openBatch(conn *net.UDPConn, stats *counters, o Options, k kernel, g *group) (*batch, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s, err := setUp(raw, !o.NoGRO)
	if err != nil {
		return nil, fmt.Errorf("socket options: %w", err)
	}
	b := &batch{
		conn: conn, raw: raw, k: k, stats: stats, ipv6: s.ipv6, group: g,
		in: newInbox(s.gro), out: newOutbox(&g.bursts), done: make(chan struct{}),
	}
	b.fill = b.fillInbox
	b.sender = sender{batch: b, volley: newVolley(volleyMessages, s.ipv6), lone: newVolley(1, s.ipv6)}
	b.sender.write = b.sender.writeVolley
	b.sender.offload.on.Store(!o.NoGSO && s.gso && b.sender.probe())
	stats.gso = append(stats.gso, &b.sender.offload.on)
	return b, nil
}

// socket is what the system says about a socket.
type socket struct{ ipv6, gso, gro bool }

// setUp asks for what helps; nothing of it is indispensable but the family.
func setUp(raw syscall.RawConn, gro bool) (s socket, err error) {
	var domain int
	controlErr := raw.Control(func(fd uintptr) {
		f := int(fd)
		domain, err = unix.GetsockoptInt(f, unix.SOL_SOCKET, unix.SO_DOMAIN)
		_ = unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		if unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, SocketBuffer) != nil {
			_ = unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_RCVBUF, SocketBuffer)
		}
		if unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, SocketBuffer) != nil {
			_ = unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_SNDBUF, SocketBuffer)
		}
		_, gsoErr := unix.GetsockoptInt(f, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		s.gso = gsoErr == nil
		s.gro = gro && unix.SetsockoptInt(f, unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
	})
	s.ipv6 = domain == unix.AF_INET6
	return s, errors.Join(controlErr, err)
}

// receive implements link.
func (b *batch) receive(take func([]byte, netip.AddrPort), end func()) error {
	if err := b.raw.Read(b.fill); err != nil {
		return err
	}
	if b.errno != 0 {
		return os.NewSyscallError("recvmmsg", b.errno)
	}
	// What is forwarded in the meantime goes out at the end of the burst, on this goroutine: that packets
	// of one destination come together costs no wait and no other goroutine.
	b.group.bursts.Add(1)
	datagrams := 0
	for i := range b.received {
		datagrams += b.in.empty(i, take)
	}
	end()
	b.group.bursts.Add(-1)
	b.group.flush()
	b.stats.kernelDropped.Add(b.in.takeDropped())
	b.stats.receiveBatch.Observe(float64(datagrams))
	return nil
}

// flush sends what waits, but does not wait: what it cannot do is the sender's.
func (b *batch) flush() {
	done := false
	if b.sender.mu.TryLock() {
		done = b.sender.drain(false)
		b.sender.mu.Unlock()
	}
	if !done {
		b.out.prod()
	}
}

// fillInbox is called by the runtime when there may be something; false makes it wait.
func (b *batch) fillInbox(fd uintptr) bool {
	for {
		b.received, b.errno = b.in.fill(b.k, fd)
		switch b.errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			return true
		}
	}
}

// send implements link.
func (b *batch) send(head uint32, d []byte, to netip.AddrPort) error {
	n, ok := b.out.put(head, d, to)
	if !ok {
		b.stats.sendDropped.Add(1)
	}
	if n%flushDatagrams == 0 { // the end of the burst is too far: after a pause of the process, say
		b.flush()
	}
	return nil
}

// runSender sends what is put into the outbox.
func (b *batch) runSender() {
	for {
		select {
		case <-b.out.wake:
		case <-b.done:
			b.drain()
			return
		}
		b.settle()
		b.drain()
	}
}

func (b *batch) drain() {
	b.sender.mu.Lock()
	defer b.sender.mu.Unlock()
	b.sender.drain(true)
}

// settle lets the burst be worked off of which the first packet has woken the sender, so that packets
// of one destination come together. Those who decrypt and forward are ready to run or running: yielding
// puts the sender behind them. It waits for nothing: on an idle machine yielding returns at once.
func (b *batch) settle() {
	for before, turns := 0, 0; turns < settleTurns; turns++ {
		runtime.Gosched()
		now := b.out.length()
		if now == before {
			return
		}
		before = now
	}
}

// close implements link.
func (b *batch) close() error {
	_ = b.conn.SetWriteDeadline(time.Now().Add(closeFlush))
	close(b.done)
	b.wg.Wait()
	return b.conn.Close()
}
