package bench

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Stack names what carries a Client's media.
type Stack uint8

// The stacks.
const (
	// Pion is a PeerConnection of pion/webrtc: what a whole WebRTC implementation does, and its cost.
	Pion Stack = iota
	// Lean is a stack of package bench/lean, which behaves like it at a fraction of the cost.
	Lean
)

// stack carries the media of one connection between its tracks and slots and the network. It tells
// the connection what arrives (arrived), what RTCP asks of a track (publication.feedback) and whether
// the path is up (connection.setUp).
type stack interface {
	// offer describes the connection's tracks and slots, and tells them their mids; with restart it is
	// a later offer, of the same with an ICE restart.
	offer(restart bool) (sdp string, err error)
	// answer applies the answer to the last offer. From the first on media may flow.
	answer(sdp string) error
	writeRTCP(packets []rtcp.Packet) error
	// rtt is the last round trip that was measured, 0 for none.
	rtt() time.Duration
	// close ends the connection and waits for the stack's goroutines.
	close()
}

// rtpWriter protects and sends the packets of one encoding. The header and the payload are the
// caller's again when WriteRTP returns; what has been written leaves with Flush at the latest.
type rtpWriter interface {
	WriteRTP(h *rtp.Header, payload []byte) (int, error)
	Flush() error
}

// binding is what the negotiation settled for one encoding.
type binding struct {
	writer  rtpWriter
	ssrc    uint32
	rtxSSRC uint32
	pt      uint8
	rtxPT   uint8 // 0: no RTX
	redPT   uint8 // 0: no RED
	ids     extensionIDs
}

// extensionIDs are the negotiated header extension ids, 0 for not negotiated.
type extensionIDs struct{ mid, rid, repairedRID, level uint8 }
