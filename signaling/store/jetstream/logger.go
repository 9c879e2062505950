package jetstream

import (
	"fmt"
	"log/slog"
	"sync"
)

// logger passes on what NATS logs: warnings as they are, the many notices of a start as debugging.
type logger struct {
	log    *slog.Logger
	failed func() // is called with every error

	mu        sync.Mutex
	complaint string
}

func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug("nats", "text", fmt.Sprintf(format, v...))
}
func (l *logger) Debugf(format string, v ...any) {
	l.log.Debug("nats", "text", fmt.Sprintf(format, v...))
}
func (l *logger) Tracef(format string, v ...any) {
	l.log.Debug("nats", "text", fmt.Sprintf(format, v...))
}

func (l *logger) Warnf(format string, v ...any) { l.log.Warn("nats", "text", l.keep(format, v)) }

func (l *logger) Errorf(format string, v ...any) {
	l.log.Error("nats", "text", l.keep(format, v))
	l.failed()
}

func (l *logger) keep(format string, v []any) string {
	text := fmt.Sprintf(format, v...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complaint = text
	return text
}

// Fatalf is what NATS calls before it would end its process; here it returns, and the start fails.
func (l *logger) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

// last returns the last warning or error, or "".
func (l *logger) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.complaint
}
