package client

import (
	"context"
	"net/http"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// Report is how good the connections of a consultation are, or were.
type Report struct {
	Consultation string              `json:"consultation"`
	BucketMS     int64               `json:"bucket_ms"` // the length of a Bucket
	Lost         LostPackets         `json:"lost"`
	Findings     []Finding           `json:"findings"`
	Participants []ParticipantReport `json:"participants"` // who was in the room
}

// LostPackets says where packets were lost, before any were sent again.
type LostPackets struct {
	Uplink   uint64 `json:"uplink"` // between a sender and the server
	Server   uint64 `json:"server"`
	Downlink uint64 `json:"downlink"` // between the server and a receiver
}

// Finding names one direction of one participant's connection that was not good for a while.
type Finding struct {
	Participant string         `json:"participant"`
	Link        string         `json:"link"` // "uplink" or "downlink", seen from the participant
	From        time.Time      `json:"from"`
	To          time.Time      `json:"to"`
	Level       wire.LinkLevel `json:"level"` // the worst
	Loss        float64        `json:"loss"`  // 0 to 1
	RoundTripMS int64          `json:"round_trip_ms"`
}

// ParticipantReport is about one participant.
type ParticipantReport struct {
	ID       string    `json:"id"`
	Ref      string    `json:"ref,omitempty"`
	Role     wire.Role `json:"role,omitempty"`
	Total    Bucket    `json:"total"`
	Timeline []Bucket  `json:"timeline"`
}

// Bucket is about one participant in one length of time.
type Bucket struct {
	At          time.Time  `json:"at"`
	Uplink      LinkReport `json:"uplink"`
	Downlink    LinkReport `json:"downlink"`
	ServerLost  uint64     `json:"server_lost,omitempty"`
	RoundTripMS int64      `json:"round_trip_ms,omitempty"`
	Concealed   float64    `json:"concealed"` // of the sound heard, the share that the browser made up
	Freezes     uint64     `json:"freezes"`
	FrozenMS    int64      `json:"frozen_ms"`
}

// LinkReport is one direction of a connection.
type LinkReport struct {
	Packets  uint64  `json:"packets"`
	Lost     uint64  `json:"lost"`
	Repaired uint64  `json:"repaired"`
	Loss     float64 `json:"loss"` // 0 to 1
	JitterMS float64 `json:"jitter_ms"`
	Score    float64 `json:"score,omitempty"` // 1 to 4.5 (ITU-T G.107); 0: nothing was sent
}

// Report reads how good the connections of a consultation are, or were: during it, and until its record
// is deleted.
func (c *Client) Report(ctx context.Context, id string) (Report, error) {
	var got Report
	err := c.do(ctx, request{method: http.MethodGet, path: []string{"consultations", id, "report"}, repeatable: true}, &got)
	return got, err
}
