package sfu

import (
	"errors"

	"github.com/bedside-video/bedside/sfu/codec"
)

// What callers branch on. Answer wraps them with what was wrong, in words fit for a client.
var (
	ErrClosed        = errors.New("closed")                  // the peer, room or server is gone
	ErrDuplicatePeer = errors.New("peer is already here")    // Room.Join with an ID that is in use
	ErrBadOffer      = errors.New("bad offer")               // the SDP cannot be answered
	ErrBadTrack      = errors.New("bad track")               // a track that may not be published
	ErrCodecMismatch = errors.New("no codec in common")      // with the codecs of the room
	ErrUnknownMid    = errors.New("no such m-line of yours") // Peer.Mute
)

// RoomOptions are the media rules of one consultation.
type RoomOptions struct {
	MaxPeers int  // bounds the slots; >= 2
	H264     bool // prefer H.264 over VP8; everyone must offer it
}

// SlotCount is how many receive-only m-lines of each kind a client is to offer at first.
type SlotCount struct{ Audio, Video int }

// SlotsFor returns the slots of a room of at most maxPeers: one of each kind for everybody else up
// to eight, and one more video slot for a screen (design D3).
func SlotsFor(maxPeers int) SlotCount {
	n := min(max(maxPeers-1, 1), 8)
	return SlotCount{Audio: n, Video: n + 1}
}

// PeerOptions describe one participant's connection.
type PeerOptions struct {
	ID         string         // the participant's; unique in the room
	Publish    []codec.Source // what they may publish
	Subscribe  bool           // whether they receive anything
	NeverEvict bool           // their voice keeps its slot whoever is louder (interpreters)
	Profile    string         // what to keep for them when bandwidth is short: motion, detail, or general
	Events     Events
}

// Track names the source behind one of an offer's sending m-lines.
type Track struct {
	Mid    string
	Source codec.Source
}

// Tile is how large a client shows one source, in device pixels.
type Tile struct {
	Peer          string
	Source        codec.Source
	Width, Height int
	Pinned        bool
}

// Events tell the signaling of one participant what happens in the media plane. They are called
// from the room's goroutine, in the order in which things happen, and must neither block nor call
// back into the Room or a Peer.
type Events interface {
	// Slots lists the slots whose assignment changed.
	Slots(epoch uint64, changed []Assignment)
	Advice
	// Speakers lists who speaks, loudest first.
	Speakers(levels []Level)
	// Transport tells how the connection stands.
	Transport(state TransportState)
	// Failed tells that the connection is beyond repair and closed; nothing follows.
	Failed(reason FailReason)
}

// Advice tells what is worth sending. It is part of Events.
type Advice interface {
	// Layers lists the encodings of the published m-line mid that somebody receives. The first, which is the lowest,
	// is to be sent with so many bit/s at most; 0: as the client likes.
	Layers(mid string, active []string, lowest int)
	// Audio tells how voices are to be sent and played.
	Audio(a Audio)
}

// Assignment says whose media flows through the receiving m-line Mid from RTP timestamp RTP on.
type Assignment struct {
	Mid    string
	Peer   string       // "" in an empty slot
	Source codec.Source // "" in an empty slot
	Muted  bool
	RTP    uint32
}

// Level is one participant's voice: 0 (silence) to 127 (loudest; RFC 6464 counts the other way).
type Level struct {
	Peer  string
	Level int
}

// TransportState is the state of one participant's connection.
type TransportState uint8

// The states of a connection.
const (
	TransportNew          TransportState = iota
	TransportConnected                   // ICE and DTLS are up
	TransportDisconnected                // nothing heard for a while; may come back
)

func (s TransportState) String() string {
	return [...]string{"new", "connected", "disconnected"}[s]
}

// FailReason says why a connection was given up.
type FailReason string

// Why a connection was given up.
const (
	FailedSSRCLimit FailReason = "ssrc_limit"   // more streams than anyone has (design D14)
	FailedTransport FailReason = "media_failed" // ICE or DTLS gave up
)
