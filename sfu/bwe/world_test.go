package bwe_test

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

// world is virtual time with a bottleneck in each direction. Nothing in it waits: a test of 100 s is
// the events of 100 s, one after the other.
type world struct {
	t      testing.TB
	now    time.Duration
	events events
	order  int
	random *rand.Rand
	fwd    *bottleneck
	back   *bottleneck
}

// began is when every world begins.
func began() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) }

func newWorld(t testing.TB, seed uint64, forward, back link.Shape) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 8867))}
	w.fwd, w.back = newBottleneck(w, forward, seed), newBottleneck(w, back, link.OtherSeed(seed))
	return w
}

func (w *world) clock() time.Time { return began().Add(w.now) }

// at calls f at a time; what is due at one time is called in the order of asking.
func (w *world) at(when time.Duration, f func()) {
	w.order++
	heap.Push(&w.events, event{at: max(when, w.now), order: w.order, do: f})
}

func (w *world) after(d time.Duration, f func()) { w.at(w.now+d, f) }

// every calls f again and again.
func (w *world) every(first, interval time.Duration, f func()) {
	w.at(first, func() {
		f()
		w.every(w.now+interval, interval, f)
	})
}

func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e *events) Push(x any) { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return x
}

// bottleneck is a link that several flows share. What comes out goes to who sent it, after the
// propagation delay of his own.
type bottleneck struct {
	w       *world
	link    *link.Link
	owners  []*owner
	pending bool // an event is to pop
	due     time.Duration
	rate    link.Bitrate
}

// owner of packets in a bottleneck.
type owner struct {
	delay time.Duration
	take  func(number uint32, size int)
	bytes int // that came out
}

func newBottleneck(w *world, s link.Shape, seed uint64) *bottleneck {
	l, err := link.New(began(), s, seed)
	if err != nil {
		w.t.Fatal(err)
	}
	b := &bottleneck{w: w, link: l}
	if len(s.Rate) > 0 {
		b.rate = s.Rate[0].Rate
	}
	return b
}

// set changes the rate at a time; the queue stays as long in time as it was.
func (b *bottleneck) set(at time.Duration, s link.Shape) {
	b.w.at(at, func() {
		if err := b.link.Set(b.w.clock(), s); err != nil {
			b.w.t.Fatal(err)
		}
		b.rate = s.Rate[0].Rate
		b.watch()
	})
}

func (b *bottleneck) own(delay time.Duration, take func(number uint32, size int)) int {
	b.owners = append(b.owners, &owner{delay: delay, take: take})
	return len(b.owners) - 1
}

// zeros is what packets are made of: nobody looks at it.
var zeros = make([]byte, link.MaxPacket)

func (b *bottleneck) send(who int, number uint32, size int) bool {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], number)
	peer := netip.AddrPortFrom(netip.AddrFrom4(a), uint16(who))
	ok := b.link.Push(b.w.clock(), link.Packet{Data: zeros[:size], Peer: peer})
	b.watch()
	return ok
}

func (b *bottleneck) watch() {
	next, ok := b.link.Next()
	if !ok {
		return
	}
	at := max(next.Sub(began()), b.w.now)
	if b.pending && b.due <= at {
		return
	}
	b.pending, b.due = true, at
	b.w.at(at, func() {
		if b.due == at {
			b.pending = false
		}
		b.pop()
		b.watch()
	})
}

func (b *bottleneck) pop() {
	for {
		p, ok := b.link.Pop(b.w.clock())
		if !ok {
			return
		}
		a := p.Peer.Addr().As4()
		number, size, o := binary.BigEndian.Uint32(a[:]), len(p.Data), b.owners[p.Peer.Port()]
		o.bytes += size
		b.w.after(o.delay, func() { o.take(number, size) })
	}
}
