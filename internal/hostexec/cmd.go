// Package hostexec runs programs on the host: short commands through a Runner,
// and processes that outlive us through Spawn and Open. It is the only host
// package that starts processes, so that every command line can be recorded
// and compared in tests.
package hostexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
)

// ErrNotInstalled is in the error of a program that this host does not have;
// the caller knows which package to suggest.
var ErrNotInstalled = errors.New("is not installed")

// Runner runs short commands.
type Runner interface {
	Run(ctx context.Context, cmd Cmd) (Result, error)
}

// Cmd is a command to run to its end.
type Cmd struct {
	Name string   // a program in PATH or the sbin directories, or an absolute path
	Args []string // without the program's own name
	Dir  string   // "" is ours
	Env  []string // nil is ours; else exactly these
	// Stdin is empty when nil. An *os.File is handed over as it is.
	Stdin io.Reader
	// Stdout and Stderr also receive the output when set. Standard output
	// with a writer of its own is not captured.
	Stdout, Stderr io.Writer
	// MaxOutput bounds the captured standard output; 0 is 1 MiB.
	MaxOutput int
	// Grace is the time between SIGTERM and SIGKILL when ctx ends; 0 kills at once.
	Grace time.Duration
}

// String is the command line, quoted where a shell would need it.
func (c Cmd) String() string {
	words := make([]string, 0, len(c.Args)+1)
	for _, w := range append([]string{c.Name}, c.Args...) {
		words = append(words, quote(w))
	}
	return strings.Join(words, " ")
}

func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("-_./=,:@+%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Result is what a command left.
type Result struct {
	Stdout    []byte
	Truncated bool   // Stdout is only the beginning
	Stderr    []byte // the end of standard error, at most 64 KiB
	ExitCode  int    // -1 when a signal ended it
}

// ExitError is a command that ran and failed.
type ExitError struct {
	Name   string
	Code   int            // -1 when a signal ended it
	Signal syscall.Signal // 0 unless a signal ended it
	Last   string         // the last line on standard error
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != 0 {
		how = "signal " + e.Signal.String()
	}
	if e.Last == "" {
		return fmt.Sprintf("%s failed with %s", e.Name, how)
	}
	return fmt.Sprintf("%s failed with %s: %s", e.Name, how, e.Last)
}
