// Package cli is the command line of banger: one file per command, over the
// typed client. Data goes to stdout, everything else to stderr.
package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/term"

	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/launch"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/version"
)

// app is what the commands share.
type app struct {
	in       *os.File
	out, err *os.File
	now      func() time.Time

	flags places.Flags
	conn  *client.Client
	// interrupted: a signal came while an action was waited for.
	interrupted bool
}

// Main runs a command line and returns its exit code.
func Main(args []string, in, out, errOut *os.File) int {
	debug.SetGCPercent(400) // a short life: rather some memory than collections
	a := &app{in: in, out: out, err: errOut, now: time.Now}
	if len(args) == 1 && args[0] == "--version" { // no need to build the commands
		fmt.Fprintln(out, "banger", version.Version)
		return exitOK
	}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(context.Background())
	if a.conn != nil {
		a.conn.Close()
	}
	return a.report(cmd, err)
}

func (a *app) places() (places.Places, error) { return places.Resolve(a.flags, places.SystemEnv()) }

// client returns the client, which starts a daemon where none answers.
func (a *app) client() (*client.Client, error) {
	if a.conn != nil {
		return a.conn, nil
	}
	p, err := a.places()
	if err != nil {
		return nil, err
	}
	a.conn = client.New(client.Config{
		Socket:      p.Socket,
		StartDaemon: func(ctx context.Context) error { return launch.Daemon(ctx, p) },
	})
	return a.conn, nil
}

// existing returns a client that starts no daemon.
func (a *app) existing() (*client.Client, error) {
	p, err := a.places()
	if err != nil {
		return nil, err
	}
	a.conn = client.New(client.Config{Socket: p.Socket, Patience: time.Millisecond})
	return a.conn, nil
}

// json writes v for programs.
func (a *app) json(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// line writes a line of data.
func (a *app) line(s string) error {
	_, err := io.WriteString(a.out, show.Safe(s)+"\n")
	return err
}

// say writes a line for people.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.err, format+"\n", args...) // there is nobody to tell that nobody listens
}

// progress shows operations on stderr.
func (a *app) progress() *show.Progress {
	width := 0
	if fd := int(a.err.Fd()); term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		width = 80
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			width = w
		}
	}
	return show.NewProgress(a.err, width, a.now)
}
