package browser_test

import (
	"context"
	"encoding/json"
	"os"

	"github.com/bedside-video/bedside/bench/linkem"
)

// linkEnv makes the test binary the process of an emulated link.
const linkEnv = "BE_AN_EMULATED_LINK"

// beLink is what TestMain does then: the link stays until its standard input ends.
func beLink(text string) error {
	var cfg linkem.TunnelConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	tunnel, err := linkem.OpenTunnel(context.Background(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = tunnel.Close() }()
	return linkem.Control(tunnel, os.Stdin, os.Stdout)
}
