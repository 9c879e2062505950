package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestServe starts each yardstick, asks whether it is well, and stops it.
func TestServe(t *testing.T) {
	for _, which := range []string{"plainpion", "floor"} {
		t.Run(which, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			r, w := io.Pipe()
			ended := make(chan error, 1)
			go runServer(ctx, which, w, ended)
			url, err := bufio.NewReader(r).ReadString('\n')
			if err != nil {
				t.Fatalf("%v; %v", err, <-ended)
			}
			resp, err := http.Get(strings.TrimSpace(url) + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("status %d", resp.StatusCode)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func runServer(ctx context.Context, which string, out *io.PipeWriter, ended chan<- error) {
	err := run(ctx, []string{which}, out)
	_ = out.Close()
	ended <- err
}

func TestUsage(t *testing.T) {
	for _, args := range []string{"", "janus", "--http nowhere floor", "--udp nowhere floor", "--udp 0.0.0.0:0 floor", "--what"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
