//go:build !linux

package load

import (
	"errors"
	"os/exec"
)

var errNoPinning = errors.New("load: processes can be bound to CPUs on Linux only")

func ownGroup(*exec.Cmd) {}

func startOn(c *exec.Cmd, cpus []int) error {
	if len(cpus) > 0 {
		return errNoPinning
	}
	return c.Start()
}

// Pin is not possible here.
func Pin([]int) error { return errNoPinning }
