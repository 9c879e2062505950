package signaling

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bedside-video/bedside/sfu/quality"
	"github.com/bedside-video/bedside/signaling/wire"
)

// QualityReport is how good the connections of a consultation were.
type QualityReport struct {
	Consultation string              `json:"consultation"`
	BucketMS     int64               `json:"bucket_ms" example:"10000" doc:"The length of what one entry of a timeline is about: ten seconds, more in a consultation that was very long or of many people"`
	Lost         LostPackets         `json:"lost" doc:"Where packets were lost, before any were sent again"`
	Findings     []QualityFinding    `json:"findings" nullable:"false" doc:"Whose link was not good, which way and when"`
	Participants []ParticipantReport `json:"participants" nullable:"false" doc:"Who was in the room, in the order of first coming"`
}

// LostPackets says where packets were lost.
type LostPackets struct {
	Uplink   uint64 `json:"uplink" doc:"Between a sender and the server"`
	Server   uint64 `json:"server" doc:"Could not be sent"`
	Downlink uint64 `json:"downlink" doc:"Between the server and a receiver"`
}

// QualityFinding names one direction of one participant's connection that was not good for a while.
type QualityFinding struct {
	Participant string         `json:"participant"`
	Link        string         `json:"link" enum:"uplink,downlink" doc:"Seen from the participant"`
	From        time.Time      `json:"from"`
	To          time.Time      `json:"to"`
	Level       wire.LinkLevel `json:"level" enum:"fair,poor" doc:"The worst of the time"`
	Loss        float64        `json:"loss" minimum:"0" maximum:"1"`
	RoundTripMS int64          `json:"round_trip_ms" doc:"The largest"`
}

// ParticipantReport is about one participant.
type ParticipantReport struct {
	ID       string          `json:"id"`
	Ref      string          `json:"ref,omitempty"`
	Role     wire.Role       `json:"role,omitempty"`
	Total    QualityBucket   `json:"total"`
	Timeline []QualityBucket `json:"timeline" nullable:"false" doc:"Without the times in which nothing was measured"`
}

// QualityBucket is about one participant in one length of time.
type QualityBucket struct {
	At          time.Time  `json:"at"`
	Uplink      LinkReport `json:"uplink"`
	Downlink    LinkReport `json:"downlink"`
	ServerLost  uint64     `json:"server_lost,omitempty" doc:"Packets for this participant that the server could not send"`
	RoundTripMS int64      `json:"round_trip_ms,omitempty" doc:"The largest between participant and server; left out when not known"`
	Concealed   float64    `json:"concealed" minimum:"0" maximum:"1" doc:"Of the sound that the participant heard, the share that their browser had to make up. This and what follows is what the browser says, and left at 0 by one that says nothing"`
	Freezes     uint64     `json:"freezes" doc:"Pictures that stood still"`
	FrozenMS    int64      `json:"frozen_ms" doc:"How long the one that stood longest did"`
}

// LinkReport is one direction of a connection.
type LinkReport struct {
	Packets  uint64  `json:"packets"`
	Lost     uint64  `json:"lost" doc:"On the way, whether or not sending them again has helped"`
	Repaired uint64  `json:"repaired" doc:"Packets sent again"`
	Loss     float64 `json:"loss" minimum:"0" maximum:"1"`
	JitterMS float64 `json:"jitter_ms" doc:"The largest (RFC 3550)"`
	Score    float64 `json:"score,omitempty" minimum:"1" maximum:"4.5" doc:"What the E-model (ITU-T G.107) makes of loss, jitter and half the round trip: 1 to 4.5 for speech over this link alone if nothing were sent again. Left out when nothing was sent"`
}

type reportOutput struct{ Body QualityReport }

func (s *Server) registerReport(api huma.API, scoped func(huma.Operation) huma.Operation) {
	huma.Register(api, scoped(huma.Operation{
		OperationID: "read-report", Method: http.MethodGet, Path: "/v1/consultations/{id}/report",
		Summary:     "Read how good the connections of a consultation are, or were",
		Description: "During the consultation and until its record is deleted. It holds nothing about people but their `ref`.",
	}), s.report)
}

func (s *Server) report(ctx context.Context, in *pathInput) (*reportOutput, error) {
	rec, err := s.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	line, err := s.timeline(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &reportOutput{Body: newReport(rec, &line)}, nil
}

// timeline returns the history of a consultation: the room's own if it is live.
func (s *Server) timeline(ctx context.Context, id string) (line quality.Timeline, err error) {
	r := s.rooms.lookup(id)
	if r == nil {
		if line, err = s.records.report(ctx, id); err != nil {
			return line, s.internal("read report", err)
		}
		return line, nil
	}
	defer s.rooms.release(r)
	if err := r.do(ctx, func() { line = r.links.line.Clone() }); err != nil {
		return line, problemOf(err)
	}
	return line, nil
}

func newReport(rec record, line *quality.Timeline) QualityReport {
	width := line.Width
	if width == 0 {
		width = quality.Width
	}
	v := QualityReport{
		Consultation: rec.ID, BucketMS: width.Milliseconds(),
		Findings: []QualityFinding{}, Participants: []ParticipantReport{},
	}
	for _, f := range line.Findings() {
		v.Findings = append(v.Findings, QualityFinding{
			Participant: f.Participant, Link: string(f.Direction), From: f.From, To: f.To, Level: wire.LinkLevel(f.Level.String()),
			Loss: share(f.Link.Loss()), RoundTripMS: f.RoundTrip.Milliseconds(),
		})
	}
	for _, track := range line.Tracks {
		p := ParticipantReport{ID: track.Participant, Timeline: make([]QualityBucket, 0, len(track.Slices))}
		if known := rec.find(track.Participant); known != nil {
			p.Ref, p.Role = known.Ref, known.Role
		}
		for _, slice := range track.Slices {
			p.Timeline = append(p.Timeline, newBucket(line.Start.Add(time.Duration(slice.At)*width), slice))
		}
		total := track.Total()
		p.Total = newBucket(p.Timeline[0].At, total)
		v.Participants = append(v.Participants, p)
		v.Lost.Uplink += total.Up.Lost
		v.Lost.Server += total.Dropped
		v.Lost.Downlink += total.Down.Lost
	}
	return v
}

func newBucket(at time.Time, s quality.Slice) QualityBucket {
	return QualityBucket{
		At: at, Uplink: newLink(s.Up, s.RoundTrip), Downlink: newLink(s.Down, s.RoundTrip), ServerLost: s.Dropped,
		RoundTripMS: s.RoundTrip.Milliseconds(), Concealed: share(s.ConcealedShare()), Freezes: s.Freezes,
		FrozenMS: s.Frozen.Milliseconds(),
	}
}

func newLink(l quality.Link, roundTrip time.Duration) LinkReport {
	v := LinkReport{
		Packets: l.Packets, Lost: l.Lost, Repaired: l.Repaired, Loss: share(l.Loss()),
		JitterMS: math.Round(10*l.Jitter.Seconds()*1000) / 10,
	}
	if l.Packets > 0 {
		v.Score = math.Round(100*l.Score(roundTrip)) / 100
	}
	return v
}
