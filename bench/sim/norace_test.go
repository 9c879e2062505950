//go:build !race

package sim_test

// raced tells that the race detector is on.
const raced = false
