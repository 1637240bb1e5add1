package main

import (
	"syscall"
	"time"
)

// cost is what an answer took: on a machine that others use too, only the processor's time compares.
type cost struct{ wall, cpu time.Duration }

// watch measures a cost.
type watch struct {
	began time.Time
	cpu   time.Duration
}

func startWatch() watch { return watch{time.Now(), cpuTime()} }

func (w watch) stop() cost { return cost{time.Since(w.began), cpuTime() - w.cpu} }

// cpuTime is what the process has used of all processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
