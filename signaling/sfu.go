package signaling

import (
	"context"

	"github.com/bedside-video/bedside/sfu"
)

// SFU returns the media plane of server, which stays the caller's.
func SFU(server *sfu.Server) Media { return sfuMedia{server} }

type sfuMedia struct{ server *sfu.Server }

func (m sfuMedia) OpenRoom(id string, o sfu.RoomOptions) (MediaRoom, error) {
	room, err := m.server.OpenRoom(id, o)
	if err != nil {
		return nil, err
	}
	return sfuRoom{room}, nil
}

func (m sfuMedia) Check(ctx context.Context, sdp string, to sfu.CheckHandler) (string, error) {
	return m.server.Check(ctx, sdp, to)
}

type sfuRoom struct{ *sfu.Room }

func (r sfuRoom) Join(ctx context.Context, o sfu.PeerOptions) (MediaPeer, error) {
	peer, err := r.Room.Join(ctx, o)
	if err != nil {
		return nil, err // not a nil *sfu.Peer in an interface that is not nil
	}
	return peer, nil
}
