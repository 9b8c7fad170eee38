// Package calm lets the timers of our long-running programs be late. A thread of
// Go's runtime sleeps 20 µs at a time while goroutines run; where a processor is
// emulated, each of these wakings costs more than that, and took half of it. The
// slack that Linux keeps for each thread gathers them, in prctl(2):
// PR_SET_TIMERSLACK. A thread, and a new program, begin with that of their maker,
// and an ordinary user may set no other thread's: so whoever starts a program
// decides, and all programs that are not ours must get the usual one.
package calm

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Slack is how late a timer may be.
type Slack time.Duration

const (
	Usual = Slack(50 * time.Microsecond) // as Linux gives it
	Late  = Slack(2 * time.Millisecond)
)

// Set sets the slack of this thread.
func Set(s Slack) error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(s), 0, 0, 0); err != nil {
		return fmt.Errorf("setting how late timers may be: %w", err)
	}
	return nil
}

// Own is the slack of this thread.
func Own() (Slack, error) {
	s, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("asking how late timers may be: %w", err)
	}
	return Slack(s), nil
}

// Start calls start, which starts a program that has this slack then. Where it
// cannot be set, the program has its maker's.
func Start(s Slack, start func() error) error {
	runtime.LockOSThread() // a child begins with what the thread has that forks
	defer runtime.UnlockOSThread()
	own, err := Own()
	if err != nil || own == s || Set(s) != nil {
		return start()
	}
	err = start()
	_ = Set(own) // which this thread had before
	return err
}
