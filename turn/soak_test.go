package turn_test

import (
	"os"
	"runtime"
)

// soak tells whether tests take as long as they like.
func soak() bool { return os.Getenv("SOAK") == "1" }

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
