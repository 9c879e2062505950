package sim

import "time"

// World is what is simulated.
type World struct{}

// Advance may let time pass; nothing else may.
func (w *World) Advance(d time.Duration) { time.Sleep(d) }

func (w *World) wait() { time.Sleep(1) } // want sleep
