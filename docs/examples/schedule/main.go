// Command schedule is schedule.sh in Go.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bedside-video/bedside/signaling/client"
	"github.com/bedside-video/bedside/signaling/wire"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schedule:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := client.New(os.Getenv("VIDEO_URL"), os.Getenv("VIDEO_KEY"), client.Options{})
	switch {
	case err != nil:
		return err
	case len(args) >= 4 && args[0] == "open":
		return open(ctx, c, args[1], args[2], args[3:])
	case len(args) < 2 || args[0] != "cancel" && (args[0] != "revoke" || len(args) != 3):
		return fmt.Errorf("open EXTERNAL_ID START ROLE:REF:NAME… | revoke EXTERNAL_ID PARTICIPANT_ID | cancel EXTERNAL_ID")
	}
	switch found, err := c.Find(ctx, args[1]); {
	case err != nil:
		return err
	case args[0] == "revoke":
		return c.Revoke(ctx, found.ID, args[2])
	default:
		return c.Cancel(ctx, found.ID)
	}
}

// open prints role, participant id and link of each of the people.
func open(ctx context.Context, c *client.Client, externalID, start string, people []string) error {
	n := client.NewConsultation{ExternalID: externalID}
	var err error
	if n.Start, err = time.Parse(time.RFC3339, start); err != nil {
		return err
	}
	for _, p := range people {
		role, rest, _ := strings.Cut(p, ":")
		ref, display, _ := strings.Cut(rest, ":")
		n.Participants = append(n.Participants, client.NewParticipant{Role: wire.Role(role), Ref: ref, Display: display})
	}
	opened, err := c.Create(ctx, n)
	for _, p := range opened.Participants {
		fmt.Println(p.Role, p.ID, p.JoinURL)
	}
	return err
}
