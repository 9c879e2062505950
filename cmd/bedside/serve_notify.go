package main

import (
	"fmt"
	"net"
)

// What systemd is told (sd_notify(3)).
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
)

// notifier is the address of systemd's socket, or "" when nobody wants to know.
type notifier string

func (n notifier) tell(state string) error {
	if n == "" {
		return nil
	}
	c, err := net.Dial("unixgram", string(n)) // a leading @ stands for the abstract name space
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
