//go:build race

package sim_test

// raced tells that the race detector is on, which makes a run ten times slower.
const raced = true
