// Package files is the command that copies files between this host and VMs.
package files

import (
	"context"
	"errors"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/size"
)

type flags struct {
	user                  string
	follow, setuid, quiet bool
	maxSize               maxSize
}

// maxSize is a number of bytes as people write it.
type maxSize int64

func (m *maxSize) String() string {
	if *m == 0 {
		return ""
	}
	return size.Format(int64(*m))
}

func (m *maxSize) Set(text string) error {
	n, err := size.Parse(text)
	*m = maxSize(n)
	return err
}

func (m *maxSize) Type() string { return "size" }

func (f *flags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.user, "user", "u", "", "copy with the rights of this user of the VM (default the image's login user)")
	fs.BoolVarP(&f.follow, "follow-link", "L", false, "of a source that is a symbolic link copy what it points to")
	fs.BoolVar(&f.setuid, "setuid", false, "keep setuid and setgid bits")
	fs.Var(&f.maxSize, "max-size", "copy no more than this to here: 500M, 2G")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	// Fingers type them; what they ask for is always done.
	for name, short := range map[string]string{"recursive": "r", "archive": "a", "preserve": "p"} {
		fs.BoolP(name, short, false, "always so")
		if err := fs.MarkHidden(name); err != nil {
			panic(err) // there is no such flag: a mistake in the program
		}
	}
}

// NewCopy makes the command cp.
func NewCopy(a *app.App) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "cp [flags] SOURCE… DESTINATION",
		Short: "Copy files and directories into a running VM, or from it",
		Long: `Copy files and directories into a running VM, or from it. One side is VM:PATH,
relative to the user's home. A source goes into a destination that is a directory,
else it gets that name; of "DIR/." what is in it is copied. "-" is a tar archive
on standard input or output.`,
		Example: `  banger cp src dev:                 # to /home/dev/src
  banger cp dev:out/report.pdf .
  banger cp -u root app.conf dev:/etc/
  banger cp dev:/var/log - | tar t`,
		Args: app.Takes(2, -1, "what to copy, or where to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			j, err := plan(args)
			if err != nil {
				return err
			}
			if !j.put && j.archive && term.IsTerminal(int(a.Out.Fd())) {
				return app.Usagef("an archive is not written to a terminal: redirect it")
			}
			return f.run(cmd.Context(), a, j)
		},
		ValidArgsFunction: complete(a),
	}
	f.register(cmd)
	return cmd
}

// run copies. The first signal has both ends give it up, another one ends the
// program at once.
func (f *flags) run(ctx context.Context, a *app.App, j job) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	c, err := a.Client()
	if err != nil {
		return err
	}
	files, err := c.Files(ctx, j.vm)
	if err != nil {
		return err
	}
	w := &watcher{App: a, progress: a.Progress(), quiet: f.quiet}
	cfg := client.CopyConfig{
		User: f.user, FollowLinks: f.follow, Setuid: f.setuid, MaxBytes: int64(f.maxSize),
		Progress: w.copied, Skipped: w.skipped,
	}
	stats, err := f.copy(ctx, a, files, j, cfg)
	w.progress.Clear()
	switch {
	case errors.Is(err, context.Canceled):
		return app.ErrInterrupted
	case err != nil:
		return err
	case stats.Skipped > 0:
		a.Say("banger: left out: %d", stats.Skipped)
		return app.CodeError(1)
	}
	return nil
}

func (f *flags) copy(ctx context.Context, a *app.App, files *client.Files, j job, cfg client.CopyConfig) (client.CopyStats, error) {
	switch {
	case j.put && j.archive:
		return files.PutTar(ctx, a.In, j.dest, cfg)
	case j.put:
		return files.Put(ctx, j.sources, j.dest, cfg)
	case j.archive:
		return files.GetTar(ctx, j.sources, a.Out, cfg)
	}
	return files.Get(ctx, j.sources, j.dest, cfg)
}

// watcher tells of a copy on stderr.
type watcher struct {
	*app.App
	quiet bool

	mu       sync.Mutex // a copy tells of both from goroutines of its own
	progress *show.Progress
}

func (w *watcher) copied(s client.CopyStats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.quiet {
		w.progress.Copy(s.Files, s.Bytes)
	}
}

func (w *watcher) skipped(s api.FilesSkipped) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress.Clear()
	w.Say("banger: %s is left out: %s", show.Safe(s.Name), show.Safe(s.Reason))
}

// complete completes files here, and VMs with their colons.
func complete(a *app.App) cobra.CompletionFunc {
	vms := app.CompleteVMs(a)
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		found, _ := vms(cmd, args, word)
		var fit []string
		for _, vm := range found {
			if strings.HasPrefix(vm, word) {
				fit = append(fit, vm+":")
			}
		}
		if len(fit) == 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return fit, cobra.ShellCompDirectiveNoSpace
	}
}
