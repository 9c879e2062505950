package transport_test

import (
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/sim"
)

func TestSlowly(t *testing.T) {
	time.Sleep(time.Second) // want sleep
	sleep := time.Sleep     // want sleep
	sleep(1)
	_ = sim.World{}
}
