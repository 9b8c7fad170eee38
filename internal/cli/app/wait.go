package app

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/show"
)

// Waiting are the flags that say how an action is waited for.
type Waiting struct {
	Quiet   bool
	wait    bool
	timeout Seconds
}

// Register adds the flags but --timeout; quiet is what --quiet does.
func (w *Waiting) Register(cmd *cobra.Command, quiet string) {
	cmd.Flags().BoolVarP(&w.Quiet, "quiet", "q", false, quiet)
	cmd.Flags().BoolVar(&w.wait, "wait", true, "wait until it is done; otherwise print the operation's ID")
}

// RegisterTimeout adds --timeout.
func (w *Waiting) RegisterTimeout(cmd *cobra.Command) {
	cmd.Flags().Var(&w.timeout, "timeout", "how long to wait, then return 124 while the daemon goes on: 30s, 2m")
}

func (w *Waiting) check() error {
	if !w.wait && w.timeout > 0 {
		return Usagef("nothing is waited for: --wait=false and --timeout exclude each other")
	}
	return nil
}

func (w *Waiting) limit() <-chan time.Time {
	if w.timeout == 0 {
		return nil
	}
	return time.After(time.Duration(w.timeout))
}

// tooLong is the error after the time to wait.
func (w *Waiting) tooLong(id string) error {
	d := time.Duration(w.timeout).String()
	if id == "" {
		return api.NewError(api.KindDeadlineExceeded, "the daemon did not begin within "+d, "See what it does: banger op ls")
	}
	return api.NewError(api.KindDeadlineExceeded, "it has not ended within "+d+"; the daemon goes on with it",
		"See: banger op show "+show.Short(id)+", or take it back: banger op cancel "+show.Short(id))
}
