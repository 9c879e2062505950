// Package bench holds virtual participants: each Client joins a consultation as a browser would, over
// HTTP, a WebSocket and one media connection, publishes synthetic media and accounts for every packet
// it receives. What carries the media is a Stack: a PeerConnection, or the cheap one of package lean. It is a black box: it knows the protocol (package wire) and nothing of the server.
//
// What a Client sends is tagged (Tag), so that a receiver can tell whose packet arrived in which
// slot, whether a frame is whole, and whether the numbers that a decoder relies on are continuous.
// The path of one sent packet:
//
//	runMedia: camera.frame ─► encoding.send ─► history, stack (SRTP) ─► socket
//	runRTCP:  NACK ─► history ─► RTX; PLI, FIR ─► camera.requestKey
//
// and of one received packet:
//
//	socket ─► stack (SRTP) ─► arrived ─► Receiver.Packet ─► reorder ─► continuity, frames, flows
//	runFeedback: Receiver.Feedback ─► NACK, PLI
//
// Clock, sockets and seeds come in through Config, so that a Client runs as well inside a
// testing/synctest bubble, in virtual time, as against a server on a wire.
package bench
