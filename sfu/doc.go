// Package sfu forwards the media of consultations: it is where decisions (packages forward, slots,
// layers: pure) meet effects (packages port and transport).
//
// # One packet
//
// Everything happens on the goroutine that decrypted it, the publisher's:
//
//	transport ─► encoding.RTP: admitted? muted? ─► Receiver (duplicate? missing?) ─► Cache
//	          ─► for each Subscription in the Publication's snapshot:
//	               Subscription.forward: Selector ─► Rewriter ─► History ─► (audio: RED) ─► transport.Slot.Write (pace, SRTP, socket)
//	          ─► Tap, if its owner is captured: the highest encoding, renumbered
//
// A subscription leaves one encoding for another when a key frame of that one is whole: the packet that completes it
// carries all of it, out of the cache, into Subscription.change. So does a tap.
//
// # Control
//
// A Room is one goroutine that is the only writer of who is here, who is admitted and who sits in
// which slot. It is level-triggered: whatever changes elsewhere (a connection comes up, a first
// packet arrives) is stored where it happens and the room is woken; Room.reconcile then derives
// slots and events from the state as it finds it. So no callback ever waits for the room, and a
// burst of changes costs one pass.
//
// The room's timer also decides every 100 ms what each peer is sent (Peer.allocate: budget, layout and
// what publishers send become one Grant a subscription, read by the packet path through one atomic
// pointer), tells publishers which encodings somebody wants, and sends what goes out periodically:
// transport feedback, reports, repeated key-frame requests, and a limit to whom the packets of their own voice show that
// their way up is full (package uplink).
//
// What does not fit where a path is narrow waits (package pace). The room lets it leave in time, with a timer that runs
// only while something waits.
//
// # Locks
//
// All are leaves but three: none is taken while another is held, except that
//
//	slot.mu may be held while transport writes a packet
//	Publication.mu may be held while transport writes a request for a key frame
//	tapping.mu may be held while a Tap takes a packet
//
// which call nothing of ours but the port, and a Tap nothing that waits. Holding slot.mu there is what
// makes detaching a barrier: when slot.assign has returned, no packet of the previous occupant follows;
// tapping.mu does the same for who is not to be recorded any more.
//
//	Server.mu          rooms
//	Room               no lock: one goroutine, a mailbox
//	Peer.mu            publications by mid, slots by SSRC
//	path.mu            a peer's estimator; the connection's lock may be taken while it is held
//	Publication.mu     encodings, their receivers and caches
//	slot.mu            rewriter, history, counters
//	tapping.mu         rewriter of what is recorded
package sfu
