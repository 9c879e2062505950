package port

import (
	"fmt"
	"net/netip"
	"runtime"
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
	conns := make([]*Conn, subscribers)
	to := make([]netip.AddrPort, subscribers)
	for i := range conns {
		to[i] = addrOf(listen(b, "udp4", "127.0.0.1:0"))
		conns[i] = endpointOf(b, p, fmt.Sprint("subscriber", i), to[i])
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
			for i, c := range conns {
				_, _ = c.WriteToAddrPort(payload, to[i])
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
