// Package servetest runs `bedside serve` as operating systems do: as a process with a configuration
// file, a data directory and signals. It holds tests only.
package servetest
