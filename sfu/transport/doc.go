// Package transport is one participant's media connection: it answers an offer, hands decrypted RTP
// and RTCP in, and takes packets to protect and send. The server is ICE-lite and the DTLS server, so a
// connection is little more than a table: who checked with the right password, the DTLS association,
// two SRTP contexts, RTP under AES-GCM sealed and opened by gcm. There is no PeerConnection behind it (docs/decisions.md says what that saved).
//
// In, on the port's reader, without a copy or a hand-over:
//
//	port ─► generation.Media ─► SRTP open ─► stream ─► codec.Packet.Parse ─► Sink.RTP
//
// Out: Slot.Write ─► pace ─► SRTP seal ─► port; what does not fit waits at pace for Conn.Release.
//
// Locks: Conn.in is held while a packet is handed to a Sink, so Sinks and Handlers must not call Close
// or Answer; Conn.out is a leaf; Conn.mu guards state and is never held while calling out.
package transport
