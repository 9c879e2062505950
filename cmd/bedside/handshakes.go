package main

import (
	"bytes"
	"log"

	"github.com/prometheus/client_golang/prometheus"
)

// handshakes counts the TLS handshakes that fail, which net/http tells to its log only. What else it
// has to say are the mistakes of strangers, with their addresses: nothing of it is kept.
type handshakes struct{ failed prometheus.Counter }

// newHandshakes registers the counter and returns the log that feeds it.
func newHandshakes(r prometheus.Registerer) (*log.Logger, error) {
	h := handshakes{prometheus.NewCounter(prometheus.CounterOpts{
		Name: "bedside_tls_handshake_failures_total",
		Help: "TLS handshakes that failed: a certificate that clients do not take, or strangers trying.",
	})}
	return log.New(h, "", 0), r.Register(h.failed)
}

// Write is called with one line at a time (package log).
func (h handshakes) Write(line []byte) (int, error) {
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) { // net/http, conn.serve
		h.failed.Inc()
	}
	return len(line), nil
}
