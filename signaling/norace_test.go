//go:build !race

package signaling_test

// raced tells that the race detector is on.
const raced = false
