package command

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Context ends with the first SIGINT or SIGTERM. The default handling is back before it ends, so that a
// second signal ends the process at once, however soon it comes: with [signal.NotifyContext] and a stop
// after the context's end it was lost where the goroutine that stops had not run yet (2 of 8 runs of
// TestTerminated on two busy cores, 2026-11-22). Its goroutine lives as long as the process, which it is for.
func Context() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go run(signals, cancel)
	return ctx
}

func run(signals chan os.Signal, cancel func()) {
	<-signals
	signal.Stop(signals)
	cancel()
}
