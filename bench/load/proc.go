package load

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc: USER_HZ is 100 on every platform that Go runs on.
const tick = 10 * time.Millisecond

// readProc reads what Linux says of a process.
func readProc(pid int) (serverState, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return serverState{}, fmt.Errorf("load: server's process: %w", err)
	}
	return parseStat(string(stat), os.Getpagesize())
}

// parseStat reads proc_pid_stat(5): fields 14, 15 and 24 are utime, stime and rss.
func parseStat(stat string, page int) (serverState, error) {
	end := strings.LastIndexByte(stat, ')') // the name may hold anything
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 22 {
		return serverState{}, errors.New("load: server's process: unknown form of its status")
	}
	user, err1 := strconv.ParseUint(fields[11], 10, 63)
	system, err2 := strconv.ParseUint(fields[12], 10, 63)
	pages, err3 := strconv.ParseUint(fields[21], 10, 63)
	if err := errors.Join(err1, err2, err3); err != nil {
		return serverState{}, fmt.Errorf("load: server's process: %w", err)
	}
	return serverState{cpu: time.Duration(user+system) * tick, rss: pages * uint64(page)}, nil
}
