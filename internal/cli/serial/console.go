package serial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

const (
	leaveKey = 0x1d    // Ctrl-]
	replay   = 8 << 10 // bytes of what was said before that come first
)

// NewConsole makes "banger console".
func NewConsole(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "console VM",
		Short: "Sit down at a running VM's serial console; Ctrl-] leaves",
		Long: `Sit down at a running VM's serial console: see what the guest says from its first
byte on, and type. It works while the guest boots, and when nothing else does.
Ctrl-] leaves. Whether one can log in there is the image's matter: the Debian image
has no login on its console. banger shell needs none.`,
		Args: app.Takes(1, 1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !term.IsTerminal(int(a.In.Fd())) || !term.IsTerminal(int(a.Out.Fd())) {
				return app.Usagef("a console needs a terminal on standard input and output; in scripts use banger logs -f and banger exec")
			}
			return sit(cmd.Context(), a, args[0])
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
}

// sit is one sitting.
func sit(ctx context.Context, a *app.App, vm string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	c, err := a.Client()
	if err != nil {
		return err
	}
	left := make(chan struct{})
	a.Say("This is the console of %s. Ctrl-] leaves.", show.Safe(vm))
	console, err := c.Console(ctx, vm, replay, client.ExecConfig{Stdin: &keys{r: a.In, left: left}, Stdout: a.Out})
	if err != nil {
		return err
	}
	fd := int(a.In.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return errors.Join(fmt.Errorf("preparing the terminal: %w", err), console.Close())
	}
	ended := make(chan error, 1)
	go func() {
		_, err := console.Wait()
		ended <- err
	}()
	farewell := ""
	select {
	case <-left:
		farewell = "left the console of " + vm
		err = console.Close()
	case <-ctx.Done():
		err = errors.Join(app.ErrInterrupted, console.Close())
	case err = <-ended:
		if err = notOver(err); err == nil {
			farewell = "the VM " + vm + " has ended"
		}
	}
	if rerr := term.Restore(fd, old); rerr != nil {
		a.Say("\rbanger: the terminal could not be restored: %v; try: reset", rerr)
	}
	if farewell != "" {
		a.Say("\n%s", show.Safe(farewell))
	}
	return err
}

// notOver is err unless that only says that there is no VM to go on with.
func notOver(err error) error {
	switch api.KindOf(err) {
	case api.KindFailedPrecondition, api.KindNotFound:
		return nil
	}
	return err
}

// keys is what is typed, up to the key that leaves.
type keys struct {
	r    *os.File
	left chan struct{}
	gone bool
}

func (k *keys) Read(p []byte) (int, error) {
	if k.gone {
		return 0, io.EOF
	}
	n, err := k.r.Read(p)
	if i := bytes.IndexByte(p[:max(n, 0)], leaveKey); i >= 0 {
		k.gone = true
		close(k.left)
		return i, io.EOF
	}
	return n, err
}
