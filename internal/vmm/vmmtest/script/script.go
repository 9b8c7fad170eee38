// Package script is the guest of the VMM conformance suite: a line protocol
// over the agent channel, the same in a fake's goroutine and in a real guest.
package script

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Banner is what the guest prints on its console once it is up; it echoes on
// the console what it reads there, after Echo.
const (
	Banner = "VMMTEST GUEST UP"
	Echo   = "VMMTEST ECHO "
)

// The commands, a line each, and their answers. Any other line comes back
// after Echo.
const (
	Poweroff = "poweroff" // no answer
	Reset    = "reset"    // no answer
	Write    = "write"    // writes WriteSize bytes to the work disk and flushes them → Written
	Written  = "written"
	Drives   = "drives" // → the sizes of vda, vdb, … in 512-byte sectors, separated by spaces
)

// Clock is the command for the guest's monotonic clock → nanoseconds.
const Clock = "clock"

// WriteSize is what Write writes.
const WriteSize = 8 << 20

// Actions are what the guest can do.
type Actions struct {
	Poweroff func()
	Reset    func()
	Write    func() // ends the machine if it fails
	Drives   func() string
	Clock    func() time.Duration
}

// Serve obeys the lines on an agent connection until it ends.
func Serve(conn io.ReadWriter, act Actions) error {
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		answer := Echo + lines.Text()
		switch strings.TrimSpace(lines.Text()) {
		case "":
			continue
		case Poweroff:
			act.Poweroff()
			continue
		case Reset:
			act.Reset()
			continue
		case Write:
			act.Write()
			answer = Written
		case Clock:
			answer = strconv.FormatInt(int64(act.Clock()), 10)
		case Drives:
			answer = act.Drives()
		}
		if _, err := fmt.Fprintln(conn, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// Console prints the banner and then echoes lines until the console ends.
func Console(console io.ReadWriter) error {
	if _, err := fmt.Fprintln(console, Banner); err != nil {
		return err
	}
	for lines := bufio.NewScanner(console); lines.Scan(); {
		if _, err := fmt.Fprintln(console, Echo+lines.Text()); err != nil {
			return err
		}
	}
	return nil
}
