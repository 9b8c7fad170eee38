package cli

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/show"
)

// The exit codes. Commands that run something in a guest return its own code,
// and exitBanger where it did not come to that; the others use the first rows.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitConflict     = 4 // it exists, or it is busy
	exitPrecondition = 5
	exitUnreachable  = 6
	exitTimeout      = 124
	exitBanger       = 125
	exitInterrupted  = 130
)

func exitOf(kind api.Kind) int {
	switch kind {
	case api.KindNotFound:
		return exitNotFound
	case api.KindAlreadyExists, api.KindBusy:
		return exitConflict
	case api.KindInvalid:
		return exitUsage
	case api.KindFailedPrecondition:
		return exitPrecondition
	case api.KindUnavailable:
		return exitUnreachable
	case api.KindDeadlineExceeded:
		return exitTimeout
	}
	return exitFailure
}

// codeError ends the program with a code; all there is to say is said.
type codeError int

func (e codeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// errInterrupted is a signal that ended the command.
var errInterrupted = errors.New("interrupted")

// usageError is a command line that is not understood.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// report tells err and returns the exit code for it.
func (a *app) report(cmd *cobra.Command, err error) int {
	var code codeError
	var usage usageError
	var e *api.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, syscall.EPIPE): // the reader has had enough
		return 128 + int(syscall.SIGPIPE)
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	n := exitFailure
	switch {
	case errors.As(err, &usage):
		n = exitUsage
		a.tell(err, "See: "+cmd.CommandPath()+" --help")
	case errors.As(err, &e):
		n = exitOf(e.Kind)
		a.tell(err, e.Hint)
	default:
		a.tell(err, "")
	}
	if cmd.Annotations[guestCode] != "" {
		return exitBanger
	}
	return n
}

// tell writes an error and what to do next.
func (a *app) tell(err error, hint string) {
	a.say("banger: %s", show.Safe(err.Error()))
	if hint != "" {
		a.say("  hint: %s", show.Safe(hint))
	}
}

// guestCode marks commands that return the guest's exit code.
const guestCode = "guest-code"
