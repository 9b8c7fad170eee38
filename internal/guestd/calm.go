package guestd

import (
	"fmt"
	"os"
	"path/filepath"
)

// threadSlack is how late a thread of the agent may be woken by a timer.
const threadSlack = "2000000" // ns

// calmThreads lets the timers of the agent's threads be late. Go's monitor
// thread sleeps 20 µs at a time while goroutines run; on an emulated CPU each
// of these wakings costs more than that, so half the CPU went there and a
// command took 1.5 times as long. Threads to come inherit it, commands do not
// (package execs).
func calmThreads() error {
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range threads {
		if err := os.WriteFile(filepath.Join("/proc", filepath.Base(t), "timerslack_ns"), []byte(threadSlack), 0); err != nil {
			return fmt.Errorf("calming the agent's threads: %w", err)
		}
	}
	return nil
}
