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
// come to the same rate whatever their round trips. What NADA lacks is added: a queue that is too
// long is emptied at once at what demonstrably leaves it; loss without a queue is not taken for
// congestion unless sending less makes it less; a queue that stays although we send less is somebody
// else's, and then loss decides as it does for them; nothing grows that was not used or probed.
package bwe
