// Package linkem emulates a network link: rate or a trace of rates, a bounded queue, random or bursty
// loss, delay, jitter, reordering and duplication, each direction for itself, changeable while it
// runs. It needs no netem, and what it does to a packet is decided in Link, which reads no clock and
// starts nothing: a test steps it in virtual time and asserts equality.
//
//	Push ─► queue (drop-tail) ─► bottleneck (rate) ─► loss, duplication ─► delay, jitter ─► Pop
//
// In front of the core stand Conn, which puts a client's UDP socket behind two links, and Tunnel,
// which puts a whole network namespace behind them (Linux, root).
//
// The same seed and the same packets at the same times have the same fate. What befalls a packet is a
// function of the seed, the kind of fate and the packet's ordinal, so that asking for jitter, too,
// changes nothing about which packets are lost.
package linkem
