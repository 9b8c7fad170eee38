// Package doctor is the contract of named checks: each looks at one thing that
// banger needs, says what it found, and, where that is not good, the command
// that mends it. Its children have the checks by theme and look at the host
// only through the facts that they are given.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/fault"
)

// State is how a check ended.
type State string

// The states of a check.
const (
	OK   State = "ok"
	Warn State = "warn" // banger works, but less well, or not all of it
	Fail State = "fail" // something that banger needs is missing or broken
	Skip State = "skip" // it does not apply here, or cannot be told now
)

// Fix is what mends a finding.
type Fix struct {
	// Command is a line for sh that does it; what it needs root for it says with
	// sudo. "" where no command can.
	Command string
	// Safe: it needs no root and touches nothing but banger's own, and nothing
	// that somebody could miss.
	Safe bool
	// Hint is what to know besides, a sentence.
	Hint string
}

// Finding is what a check found.
type Finding struct {
	State State
	Found string // a short sentence without its stop
	Fix   Fix    // zero where nothing is to be mended
}

// Check looks at one thing.
type Check struct {
	Name  string // lower-case words with hyphens; stable, for scripts
	Theme string // under which people see it
	// Preflight: making and starting a VM depend on it, and nothing else of
	// theirs looks. Such a check takes no time worth speaking of.
	Preflight bool
	Look      func(ctx context.Context) Finding
}

// Result is a check with what it found.
type Result struct {
	Check
	Finding
}

// Good is the finding that all is well.
func Good(format string, args ...any) Finding {
	return Finding{State: OK, Found: fmt.Sprintf(format, args...)}
}

// Skipped is the finding of a check that does not apply.
func Skipped(format string, args ...any) Finding {
	return Finding{State: Skip, Found: fmt.Sprintf(format, args...)}
}

// Bad is the finding of something to be mended.
func Bad(state State, fix Fix, format string, args ...any) Finding {
	return Finding{State: state, Found: fmt.Sprintf(format, args...), Fix: fix}
}

// Broken is the finding that err is; where a fault's hint is a command, that is
// the one which mends it.
func Broken(state State, err error) Finding {
	f := fault.From(err)
	fix := Fix{Hint: f.Hint}
	if command := commandIn(f.Hint); command != "" {
		fix = Fix{Command: command}
	}
	return Finding{State: state, Found: f.Message, Fix: fix}
}

// commandIn takes the command out of hints such as "Make it one with: chmod +x
// FILE" and "sudo apt-get install PACKAGE"; "" if there is none.
func commandIn(hint string) string {
	command := hint
	if _, after, ok := strings.Cut(hint, "with: "); ok {
		command = after
	} else if !strings.HasPrefix(hint, "sudo ") && !strings.HasPrefix(hint, "banger ") {
		return ""
	}
	command, _, _ = strings.Cut(command, " (or ")
	return strings.TrimSuffix(command, ".")
}

// patience bounds a check: a doctor must not hang where something else does.
const patience = 15 * time.Second

// Run runs the checks, a few at once, and returns what they found in their
// order. One that does not come to an end fails.
func Run(ctx context.Context, checks []Check) []Result {
	results := make([]Result, len(checks))
	turns := make(chan struct{}, 4)
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			results[i] = Result{c, bounded(ctx, c)}
		})
	}
	all.Wait()
	return results
}

// bounded looks, but not for ever: a look that takes no context may hang in the
// kernel, and is left there.
func bounded(ctx context.Context, c Check) Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := make(chan Finding, 1)
	go func() { found <- c.Look(ctx) }()
	select {
	case f := <-found:
		return f
	case <-ctx.Done():
		return Bad(Fail, Fix{Hint: "What it looks at hangs: a file system, a service or a device."}, "it could not be looked at within %v", patience)
	}
}

// Preflight runs the checks that making and starting a VM depend on, and
// returns the first failure as a fault.
func Preflight(ctx context.Context, checks []Check) error {
	for _, c := range checks {
		if !c.Preflight {
			continue
		}
		if f := c.Look(ctx); f.State == Fail {
			hint := f.Fix.Hint
			if f.Fix.Command != "" {
				hint = "Mend it with: " + f.Fix.Command
			}
			return fault.New(fault.Precondition, hint, "%s", f.Found)
		}
	}
	return nil
}
