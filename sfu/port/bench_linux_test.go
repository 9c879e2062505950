package port

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSend is frames of five packets to each of so many subscribers, written as the fan-out does,
// every way: "cpu-ns/datagram" is what the process and the kernel need, "each" how many datagrams one
// message held. The destinations are on this machine and read nothing, which costs the sender the same
// in every way.
func BenchmarkSend(b *testing.B) {
	for _, subscribers := range []int{1, 10} {
		for _, w := range ways() {
			if w.options.NoGRO {
				continue
			}
			b.Run(fmt.Sprintf("1 to %d/%s", subscribers, w.name), func(b *testing.B) { benchmarkSend(b, subscribers, w.options) })
		}
	}
}

func benchmarkSend(b *testing.B, subscribers int, o Options) {
	const packets = 5
	p := newPort(b, listen(b, "udp4", "127.0.0.1:0"), o)
	to := make([]netip.AddrPort, subscribers)
	for i := range to {
		to[i] = addrOf(listen(b, "udp4", "127.0.0.1:0"))
	}
	payload := packet(1, 1, 1116)
	done := func(n int) bool {
		return p.stats.sent.Load()+p.stats.sendDropped.Load()+p.stats.writeErrors.Load() >= uint64(n)
	}
	sent := 0
	b.ReportAllocs()
	start := cpuTime(b)
	b.ResetTimer()
	for b.Loop() {
		for range packets {
			for _, a := range to {
				_ = p.Write(payload, a)
			}
		}
		sent += packets * subscribers
		for !done(sent) {
			// A receive burst every so often: the next comes when this has been worked off.
			runtime.Gosched()
		}
	}
	cpu := cpuTime(b) - start
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(sent), "cpu-ns/datagram")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what the process has used, in the kernel too.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkForward is a publisher's frames of five packets, received and sent on to so many subscribers.
func BenchmarkForward(b *testing.B) {
	for _, subscribers := range []int{1, 10} {
		for _, w := range ways() {
			b.Run(fmt.Sprintf("1 to %d/%s", subscribers, w.name), func(b *testing.B) { benchmarkForward(b, subscribers, w.options) })
		}
	}
}

func benchmarkForward(b *testing.B, subscribers int, o Options) {
	const packets = 5
	p := newPort(b, listen(b, "udp4", "127.0.0.1:0"), o)
	f := &fan{port: p}
	var last *net.UDPConn // reads what it gets, the others read nothing
	for range subscribers {
		last = listen(b, "udp4", "127.0.0.1:0")
		f.to = append(f.to, addrOf(last))
	}
	publisher := listen(b, "udp4", "127.0.0.1:0")
	server := p.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := p.Open("publisher", "password of publisher", f); err != nil {
		b.Fatal(err)
	}
	say := func(d []byte) {
		if _, err := publisher.WriteToUDPAddrPort(d, server); err != nil {
			b.Fatal(err)
		}
	}
	say(checkOf(b, "publisher"))
	await(b, func() bool { return p.stats.received.Load() == 1 })
	d := packet(1, 1, 1116)
	forwarded, buf := 0, make([]byte, datagramBytes)
	b.ReportAllocs()
	start := cpuTime(b)
	b.ResetTimer()
	for b.Loop() {
		for range packets {
			say(d)
		}
		for range packets { // the next frame comes when this one has been worked off
			if _, _, err := last.ReadFromUDPAddrPort(buf); err != nil {
				b.Fatal(err)
			}
		}
		forwarded += packets * subscribers
	}
	b.ReportMetric(float64((cpuTime(b)-start).Nanoseconds())/float64(forwarded), "cpu-ns/datagram")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEcho is one small packet at a time, there and back, with nothing else to do: the latency of
// a lone packet, every way.
func BenchmarkEcho(b *testing.B) {
	for _, w := range ways() {
		if w.options.NoGRO || w.options.NoGSO {
			continue
		}
		b.Run(w.name, func(b *testing.B) { benchmarkEcho(b, w.options) })
	}
}

func benchmarkEcho(b *testing.B, o Options) {
	p := newPort(b, listen(b, "udp4", "127.0.0.1:0"), o)
	client := listen(b, "udp4", "127.0.0.1:0")
	f := &fan{port: p, to: []netip.AddrPort{addrOf(client)}}
	if err := p.Open("publisher", "password of publisher", f); err != nil {
		b.Fatal(err)
	}
	server := p.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, err := client.WriteToUDPAddrPort(checkOf(b, "publisher"), server); err != nil {
		b.Fatal(err)
	}
	await(b, func() bool { return p.stats.received.Load() == 1 })
	d, buf := packet(1, 1, 100), make([]byte, datagramBytes)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := client.WriteToUDPAddrPort(d, server); err != nil {
			b.Fatal(err)
		}
		if _, _, err := client.ReadFromUDPAddrPort(buf); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(0, "ns/op")
}
