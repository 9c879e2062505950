package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bedside-video/bedside/bench/load"
)

// quietInterval is between two lines where nobody watches them change.
const quietInterval = 10 * time.Second

// progress shows how a run goes: one line that changes on a terminal, a line now and then elsewhere.
type progress struct {
	to       io.Writer
	terminal bool
	name     string
	phase    load.Phase
	shown    time.Time
	width    int // of the line that stands there
}

func newProgress(to io.Writer, name string) *progress {
	p := &progress{to: to, name: name}
	if f, ok := to.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// show shows a state.
func (p *progress) show(s load.Progress) {
	line := progressLine(p.name, s)
	if p.terminal {
		// What is left of a longer line before is overwritten.
		_, _ = fmt.Fprintf(p.to, "\r%s%s", line, strings.Repeat(" ", max(0, p.width-len(line))))
		p.width = len(line)
		return
	}
	if now := time.Now(); s.Phase != p.phase || now.Sub(p.shown) >= quietInterval {
		p.phase, p.shown = s.Phase, now
		_, _ = fmt.Fprintln(p.to, line)
	}
}

// end leaves the line.
func (p *progress) end() {
	if p.width > 0 {
		_, _ = fmt.Fprintln(p.to)
	}
	p.width = 0
}

// progressLine is one state in one line.
func progressLine(name string, s load.Progress) string {
	switch s.Phase {
	case load.Opening:
		return fmt.Sprintf("%s: opening the rooms of %d people", name, s.Planned)
	case load.Closing:
		return fmt.Sprintf("%s: closing", name)
	}
	line := fmt.Sprintf("%s: %s, %v left, %d of %d people, %.0f packets/s", name, s.Phase, s.Left.Round(time.Second), s.People, s.Planned, s.Packets)
	if s.DelayP99 > 0 {
		line += fmt.Sprintf(", delay p99 %v", s.DelayP99.Round(100*time.Microsecond))
	}
	return line + fmt.Sprintf(", %d lost, %d failures", s.Lost, s.Failures)
}
