package app

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
// and ExitBanger where it did not come to that; the others use the first rows. A time limit that is over is ExitTimeout for all.
const (
	ExitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitConflict     = 4 // it exists, or it is busy
	exitPrecondition = 5
	exitUnreachable  = 6
	ExitTimeout      = 124
	ExitBanger       = 125
	ExitInterrupted  = 130
	exitPipe         = 128 + int(syscall.SIGPIPE)
)

// ExitCode is a code and what it means.
type ExitCode struct {
	Code    int
	Meaning string
}

// ExitCodes are those of commands that run nothing in a guest, in their order.
func ExitCodes() []ExitCode {
	return []ExitCode{
		{ExitOK, "It is done."},
		{exitFailure, "It failed."},
		{exitUsage, "The command line or a value in it is wrong."},
		{exitNotFound, "There is no such VM, image, kernel or operation."},
		{exitConflict, "There is one already, or another operation has it."},
		{exitPrecondition, "Not in this state: a VM that runs, an image in use."},
		{exitUnreachable, "No daemon answers, and none could be started."},
		{ExitTimeout, "The time of --timeout is over."},
		{ExitInterrupted, "It was interrupted: Ctrl-C, SIGTERM, SIGHUP."},
		{exitPipe, "The reader of standard output is gone."},
	}
}

func exitOf(e *api.Error) int {
	switch e.Kind {
	case api.KindNotFound:
		return exitNotFound
	case api.KindAlreadyExists, api.KindBusy:
		return exitConflict
	case api.KindInvalid:
		return exitUsage
	case api.KindFailedPrecondition:
		return exitPrecondition
	case api.KindUnavailable:
		if e.Operation == "" { // otherwise it is not the daemon that is missing
			return exitUnreachable
		}
	case api.KindDeadlineExceeded:
		if e.Operation == "" { // otherwise it is not our limit that has passed
			return ExitTimeout
		}
	}
	return exitFailure
}

// CodeError ends the program with a code; all there is to say is said.
type CodeError int

func (e CodeError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// ErrInterrupted is a signal that ended the command.
var ErrInterrupted = errors.New("interrupted")

// usageError is a command line that is not understood.
type usageError struct{ error }

// Usagef makes the error of a command line that is not understood.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Report tells err and returns the exit code for it.
func (a *App) Report(cmd *cobra.Command, err error) int {
	var code CodeError
	var usage usageError
	var e *api.Error
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, syscall.EPIPE): // the reader has had enough
		return exitPipe
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	}
	n := exitFailure
	switch {
	case errors.As(err, &usage):
		n = exitUsage
		a.Tell(err, "See: "+cmd.CommandPath()+" --help")
	case errors.As(err, &e):
		n = exitOf(e)
		a.Tell(err, e.Hint)
	default:
		a.Tell(err, "")
	}
	if cmd.Annotations[GuestCode] != "" {
		return ExitBanger
	}
	return n
}

// Tell writes an error and what to do next.
func (a *App) Tell(err error, hint string) {
	a.Say("banger: %s", show.SafeLines(err.Error(), "    "))
	if hint != "" {
		a.Say("  hint: %s", show.Safe(hint))
	}
}

// GuestCode marks commands that return the guest's exit code.
const GuestCode = "guest-code"
