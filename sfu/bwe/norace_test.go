//go:build !race

package bwe_test

// raceEnabled tells that the race detector is on.
const raceEnabled = false
