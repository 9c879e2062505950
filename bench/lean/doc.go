// Package lean is a WebRTC media connection that costs little: SDP of a few lines, ICE of the side
// that checks, DTLS and SRTP by pion, one socket read and written in batches. It offers what Chromium
// offers and gives the feedback that Chromium gives (receiver reports, transport-wide feedback); it
// knows nothing of what the packets mean. A load generator has hundreds of these.
//
// The path of a received packet has no hand-over:
//
//	batch.Conn ─► runReader ─► RTP header ─► Reception, TWCC ─► Handler.RTP ─► (Packet.Decrypt)
//
// and of a sent one:
//
//	Conn.WriteRTP ─► SRTP, in place in the run ─► Conn.Flush ─► batch.Conn
package lean
