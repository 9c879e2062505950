//go:build race

package signaling_test

// raced tells that the race detector is on, which doubles every stack.
const raced = true
