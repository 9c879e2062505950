//go:build profile

package main

import (
	"net/http"
	"net/http/pprof"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsHandler serves /metrics and, in a binary built with -tags profile, /debug/pprof/ beside it. A
// heap profile names functions, but a goroutine dump and a trace show arguments: not for service.
func metricsHandler(registry *prometheus.Registry) http.Handler {
	runtime.SetMutexProfileFraction(100)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
