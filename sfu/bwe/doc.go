// Package bwe estimates what one participant's path carries, from what the client tells of the packets
// it got (draft-holmer-rmcat-transport-wide-cc-extensions-01). It is pure: who owns an Estimator says
// what time it is, so that a test steps minutes of a link in milliseconds.
//
//	Sent ─► History ─┐
//	feedback ────────┴─► acks ─► delay: queueing delay over the least seen
//	                         ├─► meter: what arrived, what was sent
//	                         ├─► losses: lost anyway, or lost because it was too much?
//	                         └─► probes: what a burst of padding showed
//	                                 └─► control: the rate ─► Tick: Estimate
//
// The control follows the queueing delay as NADA does (RFC 8698): the delay at which a flow stays is
// inversely proportional to its rate, so that flows which share a bottleneck see the same delay and
// come to the same rate whatever their round trips. Nothing grows that was not used or probed.
//
// Whatever else the delay or loss may mean is settled by one experiment, sending less and looking at what
// becomes of it. It is judged by how much less was sent, in seconds of queue (the sum of 1 - sent/leaves
// over time, which is what a queue of ours would be shorter by), and not by how long it took:
//
//	Draining: a queue too long ─┬─ becomes shorter ────────────────────► ours: Steady when it is gone
//	                            ├─ does not move, and came at once ────► a longer path: Steady
//	                            └─ stays, twice its length later ──────► others': Competing, loss decides
//	Losing: more lost than usual ─┬─ less is lost ─────────────────────► congestion: Steady, no rise for a while
//	                              └─ as much is lost ──────────────────► the path's nature: Steady, as before
//	Competing: half is sent for a moment, now and then: a queue that goes is ours after all
package bwe
