package signaling

import (
	"context"

	"github.com/bedside-video/bedside/sfu"
)

// Media is the media plane as sessions need it; SFU makes one of an sfu.Server.
type Media interface {
	// OpenRoom opens the room of one consultation.
	OpenRoom(id string, o sfu.RoomOptions) (MediaRoom, error)
	// Check answers the offer of one who tries their network; it is that of sfu.Server.
	Check(ctx context.Context, sdp string, to sfu.CheckHandler) (answer string, err error)
}

// MediaRoom is the media plane of one consultation. Its methods are those of sfu.Room.
type MediaRoom interface {
	Join(ctx context.Context, o sfu.PeerOptions) (MediaPeer, error)
	SetRoster(ctx context.Context, admitted []string) error
	SetCapture(ctx context.Context, c sfu.Capture) error
	Measure(ctx context.Context) ([]sfu.Measure, error)
	Close() error
}

// MediaPeer is one participant's connection. Its methods are those of sfu.Peer.
type MediaPeer interface {
	Answer(ctx context.Context, sdp string, tracks []sfu.Track) (answer string, err error)
	Mute(ctx context.Context, mid string, muted bool) error
	SetLayout(ctx context.Context, tiles []sfu.Tile) error
	Close() error
}
