package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/auth"
	"github.com/banger-vm/banger/internal/cli/kernels"
	"github.com/banger-vm/banger/internal/cli/reach"
	"github.com/banger-vm/banger/internal/cli/session"
	"github.com/banger-vm/banger/internal/cli/show"
)

// cleanUp is how long the removal of a VM is waited for after a signal.
const cleanUp = 2 * time.Minute

func newRun(a *app.App) *cobra.Command {
	r := runner{App: a}
	cmd := &cobra.Command{
		Use:   "run [flags] IMAGE [--] [COMMAND…]",
		Short: "Make a VM, start it, and run a command in it; without one, a login shell",
		Long: `Make a VM, start it, and run a command in it; without one, a login shell.
The exit code is the command's. The VM runs on afterwards, unless --rm is given:
then it is removed, whatever happens.`,
		Args:        app.Takes(1, -1, "the image"),
		RunE:        func(cmd *cobra.Command, args []string) error { return r.run(cmd, args) },
		Annotations: map[string]string{app.GuestCode: "yes"},

		ValidArgsFunction: app.CompleteImages(a, cobra.ShellCompDirectiveDefault),
	}
	r.vm.register(cmd)
	r.own.Register(cmd)
	app.CompleteVMMFlag(a, cmd)
	kernels.CompleteFlag(a, cmd)
	r.exec.register(cmd)
	cmd.Flags().BoolVar(&r.remove, "rm", false, "remove the VM when the command has ended")
	app.RegisterForce(cmd, &r.force)
	cmd.Flags().BoolVarP(&r.quiet, "quiet", "q", false, "no progress; with -d print the VM's ID only")
	return cmd
}

type runner struct {
	*app.App
	vm            specFlags
	own           auth.Flags
	given         *auth.Given
	exec          execFlags
	remove, quiet bool
	force         bool
}

func (r *runner) run(cmd *cobra.Command, args []string) (err error) {
	spec, err := r.vm.resolve(cmd)
	if err != nil {
		return err
	}
	if spec.Image, err = chosenImage(cmd, "", args[:1]); err != nil {
		return err
	}
	argv := app.Command(args[1:])
	switch {
	case r.remove && r.exec.detach:
		return app.Usagef("with -d the VM runs on: -d and --rm exclude each other")
	}
	what, err := r.exec.spec(r.App, argv)
	if err != nil {
		return err
	}
	if r.given, err = r.own.Gather(cmd.Context(), r.App, r.quiet); err != nil {
		return err
	}
	if r.exec.detach && len(argv) == 0 {
		if flag := r.exec.given(cmd); flag != "" {
			return app.Usagef("--%s is for a command, and there is none", flag)
		}
		return r.start(cmd.Context(), spec)
	}
	spec.AutoRemove = r.remove
	s, err := session.New(cmd.Context(), r.App, what, r.exec.options())
	if err != nil {
		return err
	}
	defer s.Close()
	return r.make(cmd.Context(), spec, s.Ahead, func(op api.Operation, id string) error {
		code, err := s.Run(id)
		switch {
		case err != nil:
			return err
		case r.exec.detach:
			if err := r.Made(op, r.quiet); err != nil {
				return err
			}
		}
		return app.CodeError(code)
	})
}

// start makes a VM without a command.
func (r *runner) start(ctx context.Context, spec api.VMSpec) error {
	return r.make(ctx, spec, func(string) {}, func(op api.Operation, _ string) error { return r.Made(op, r.quiet) })
}

// make makes and starts the VM, uses it, and removes it if that is wanted. begun
// gets its ID while it is made.
func (r *runner) make(ctx context.Context, spec api.VMSpec, begun func(id string), use func(op api.Operation, id string) error) (err error) {
	// Between the steps below a signal must not end this process either.
	guard := make(chan os.Signal, 1)
	signal.Notify(guard, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(guard)
	var warn func()
	op, err := r.create(ctx, spec, func(c *client.Client, id string) {
		warn = r.asked(ctx, c)
		begun(id)
	})
	if err != nil {
		return err
	}
	id, err := app.ResultID(op)
	if err != nil {
		return err
	}
	if !r.quiet {
		r.TellWeaker(op)
	}
	if !r.quiet && reach.AnyPort(spec.Forwards) {
		reach.TellChosen(ctx, r.App, id)
	}
	if !r.remove && !r.Interrupted {
		warn()
		return use(op, id)
	}
	if r.Interrupted { // too late for the create to be cancelled
		err = app.ErrInterrupted
	} else {
		err = use(op, id)
	}
	if rmErr := r.discard(ctx, id); rmErr != nil {
		r.Tell(rmErr, "Remove it with: banger rm -f "+op.Name)
		if err == app.CodeError(app.ExitOK) {
			err = app.CodeError(app.ExitBanger)
		}
	}
	return err
}

// asked asks what will end a VM that is to run on, and returns what tells it.
func (r *runner) asked(ctx context.Context, c *client.Client) (tell func()) {
	if r.quiet || r.remove {
		return func() {}
	}
	answer := make(chan []string, 1)
	go func() {
		s, _ := c.DaemonStatus(ctx) // what comes next needs the daemon too, and tells of an error
		answer <- s.Reduced
	}()
	return func() {
		for _, reduced := range <-answer {
			r.Say("banger: %s", show.Safe(reduced))
		}
	}
}

// discard removes the VM; one that is gone already is fine.
func (r *runner) discard(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, cleanUp)
	defer cancel()
	_, err := r.Operate(ctx, app.Action{
		Begin: func(ctx context.Context, c *client.Client) (api.Operation, error) {
			return c.VMDelete(ctx, api.VMDeleteRequest{VM: id, Force: true})
		},
		How: app.Waiting{Quiet: true},
	})
	var e *api.Error
	if errors.As(err, &e) && e.Kind == api.KindBusy && e.Operation != "" {
		// The VM has stopped by itself, so the daemon removes it.
		c, clientErr := r.Client()
		if clientErr != nil {
			return clientErr
		}
		_, err = c.WaitOperation(ctx, e.Operation, nil)
	}
	if api.KindOf(err) == api.KindNotFound {
		return nil
	}
	return err
}

// create makes and starts the VM. What a create that did not succeed left goes
// too: once a VM is whole the daemon keeps it, whatever becomes of its start.
func (r *runner) create(ctx context.Context, spec api.VMSpec, begun func(c *client.Client, id string)) (api.Operation, error) {
	var known atomic.Pointer[api.Operation]
	op, err := r.Operate(ctx, app.Action{
		Begin: func(waiting context.Context, c *client.Client) (api.Operation, error) {
			op, err := r.given.Send(r.App, func(auth *api.Auth) (api.Operation, error) {
				return c.VMCreateBegin(waiting, api.VMCreateRequest{Spec: spec, Start: true, Force: r.force, Auth: auth})
			})
			if err == nil {
				known.Store(&op)
				begun(c, targetID(op))
			}
			return op, err
		},
		Cancel: true,
		How:    app.Waiting{Quiet: r.quiet},
	})
	left := errors.Is(err, app.ErrInterrupted) && op.ID == "" // to the daemon
	made := known.Load()
	if err == nil || left || made == nil {
		return op, err
	}
	id := targetID(*made)
	if rmErr := r.discard(ctx, id); rmErr != nil {
		r.Tell(rmErr, "Remove what is left of it with: banger rm -f "+made.Name)
	}
	return op, err
}

// targetID is the ID of the VM that an operation is about.
func targetID(op api.Operation) string { return strings.TrimPrefix(op.Target, "vm/") }
