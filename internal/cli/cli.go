// Package cli is the command line of banger: one file per command, over the
// typed client. Data goes to stdout, everything else to stderr.
package cli

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/version"
)

// Main runs a command line and returns its exit code.
func Main(args []string, in, out, errOut *os.File) int {
	debug.SetGCPercent(400) // a short life: rather some memory than collections
	a := &app.App{In: in, Out: out, Err: errOut, Now: time.Now}
	if len(args) == 1 && args[0] == "--version" { // no need to build the commands
		fmt.Fprintln(out, "banger", version.Version)
		return app.ExitOK
	}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(context.Background())
	a.Close()
	return a.Report(cmd, err)
}
