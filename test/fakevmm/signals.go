package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// asks are the signals by which an init is asked for a shutdown.
var asks = []unix.Signal{unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPWR}

// hold keeps asks waiting for this thread, and for what it starts or becomes: a
// Go program ends at one that comes before it has said that it takes them. let
// undoes that.
func hold() error { return mask(unix.SIG_BLOCK) }

func let() error { return mask(unix.SIG_UNBLOCK) }

func mask(how int) error {
	var set unix.Sigset_t
	for _, sig := range asks {
		set.Val[(sig-1)/64] |= 1 << ((sig - 1) % 64)
	}
	if err := unix.PthreadSigmask(how, &set, nil); err != nil {
		return fmt.Errorf("holding signals: %w", err)
	}
	return nil
}
