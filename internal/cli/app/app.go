// Package app is what the commands of the CLI share: the client, the output,
// the exit codes, and how an action is waited for.
package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/launch"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/places"
)

// App is one run of the program.
type App struct {
	In       *os.File
	Out, Err *os.File
	Now      func() time.Time

	Flags places.Flags
	conn  *client.Client
	// Interrupted: a signal came while an action was waited for.
	Interrupted bool
}

// Places says where things lie.
func (a *App) Places() (places.Places, error) { return places.Resolve(a.Flags, places.SystemEnv()) }

// Client returns the client, which starts a daemon where none answers.
func (a *App) Client() (*client.Client, error) {
	if a.conn != nil {
		return a.conn, nil
	}
	p, err := a.Places()
	if err != nil {
		return nil, err
	}
	a.conn = client.New(client.Config{
		Socket:      p.Socket,
		StartDaemon: func(ctx context.Context) error { return launch.Daemon(ctx, p) },
	})
	return a.conn, nil
}

// Existing returns a client that starts no daemon.
func (a *App) Existing() (*client.Client, error) {
	p, err := a.Places()
	if err != nil {
		return nil, err
	}
	a.conn = client.New(client.Config{Socket: p.Socket, Patience: time.Millisecond})
	return a.conn, nil
}

// Close closes the client.
func (a *App) Close() {
	if a.conn != nil {
		a.conn.Close()
	}
}

// JSON writes v for programs.
func (a *App) JSON(v any) error {
	enc := json.NewEncoder(a.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Line writes a line of data.
func (a *App) Line(s string) error {
	_, err := io.WriteString(a.Out, show.Safe(s)+"\n")
	return err
}

// Say writes a line for people.
func (a *App) Say(format string, args ...any) {
	fmt.Fprintf(a.Err, format+"\n", args...) // there is nobody to tell that nobody listens
}

// Progress shows on stderr how far something is.
func (a *App) Progress() *show.Progress {
	width := 0
	if fd := int(a.Err.Fd()); term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		width = 80
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			width = w
		}
	}
	return show.NewProgress(a.Err, width, a.Now)
}
