// Package link decides what a bad network does to packets: rate or a trace of rates, a bounded queue,
// random or bursty loss, delay, jitter, reordering and duplication, in one direction. A Link reads no
// clock and starts nothing: a test steps it in virtual time and asserts equality.
//
//	Push ─► queue (drop-tail) ─► bottleneck (rate) ─► loss, duplication ─► delay, jitter ─► Pop
//
// The same seed and the same packets at the same times have the same fate. What befalls a packet is a
// function of the seed, the kind of fate and the packet's ordinal, so that asking for jitter, too,
// changes nothing about which packets are lost.
package link
