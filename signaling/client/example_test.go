package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bedside-video/bedside/signaling/client"
	"github.com/bedside-video/bedside/signaling/wire"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	c, err := client.New("https://video.hospital.example", "bedside_…", client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, err := c.Create(ctx, client.NewConsultation{
		ExternalID: "appointment-4711",
		Start:      time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC),
		Participants: []client.NewParticipant{
			{Ref: "practitioner-42", Role: wire.RoleClinician, Display: "Dr Lee"},
			{Ref: "patient-7", Role: wire.RolePatient, Display: "Sam Novak"},
		},
	})
	var p *client.Problem
	if errors.As(err, &p) && p.Code == wire.CodeExternalIDConflict {
		fmt.Println("the appointment has changed: use Update")
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range opened.Participants {
		fmt.Println(p.Role, p.JoinURL)
	}
}
