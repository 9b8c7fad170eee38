// Package clock reads the guest's boot clock.
package clock

import "golang.org/x/sys/unix"

// BootMS is the time since the guest's kernel started, in milliseconds.
func BootMS() float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0 // not on any kernel that runs Go
	}
	return float64(t.Nano()/1000) / 1000
}
