package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/bedside-video/bedside/recording"
)

// bar shows a person how far reading a recording is.
type bar struct{ p *progressbar.ProgressBar }

// newBar makes a bar for reading all parts so many times. Where nobody looks, nothing is shown.
func newBar(w world, r kept, times int64) *bar {
	out := w.errs
	if !isTerminal(out) {
		out = io.Discard
	}
	size := int64(-1) // unknown: it turns
	if b, err := r.Manifest(); err == nil {
		if m, err := recording.ParseManifest(b); err == nil && m.Bytes > 0 {
			size = m.Bytes * times
		}
	}
	return &bar{progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(out), progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("reading"))}
}

func (b *bar) add(n int) { _ = b.p.Add(n) } // what cannot be shown is not worth an error

func (b *bar) end() { _ = b.p.Finish() }
