package serial

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// NewLogs makes "banger logs".
func NewLogs(a *app.App) *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use:   "logs [flags] VM",
		Short: "Print what a VM's guest said on its console, or with -f says",
		Long: `Print what a VM's guest said on its console: its kernel, its init, and whoever
writes to the console. The newest 1 to 2 MB are kept, over starts and stops.`,
		Args: app.Takes(1, 1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := f.config(cmd, a.Now())
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return f.print(ctx, a, c, args[0], cfg)
		},
		ValidArgsFunction: app.CompleteVMs(a),
	}
	f.register(cmd)
	return cmd
}

type logsFlags struct {
	follow, times, json bool
	tail                int
	since               string
}

func (f *logsFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVarP(&f.follow, "follow", "f", false, "go on as the guest says more, over stops and starts, until the VM is removed")
	fs.IntVarP(&f.tail, "tail", "n", 0, "only the last lines")
	fs.StringVar(&f.since, "since", "", "only what was said since then: 10m, 15:04, 2006-01-02T15:04:05")
	fs.BoolVarP(&f.times, "timestamps", "t", false, "begin each line with its time")
	fs.BoolVar(&f.json, "json", false, "as JSON, one object a line")
}

func (f *logsFlags) config(cmd *cobra.Command, now time.Time) (cfg client.LogsConfig, err error) {
	cfg.Follow = f.follow
	if cmd.Flags().Changed("tail") {
		if f.tail < 0 {
			return cfg, app.Usagef("--tail: the number of lines is negative")
		}
		cfg.Tail = &f.tail
	}
	if cmd.Flags().Changed("since") {
		cfg.Since, err = parseTime(f.since, now)
	}
	return cfg, err
}

func (f *logsFlags) print(ctx context.Context, a *app.App, c *client.Client, vm string, cfg client.LogsConfig) error {
	p := &printer{out: a.Out, screen: show.NewScreen(a.Out), times: f.times, json: f.json, dropped: func(n uint64) {
		a.Say("banger: %d bytes are missing: they are no longer kept", n)
	}}
	err := c.Logs(ctx, vm, cfg, p.print)
	if ctx.Err() != nil {
		err = app.ErrInterrupted
	}
	return errors.Join(err, p.finish())
}

// layouts are the ways in which people write a time.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly,
	time.TimeOnly, "15:04", // of today
}

// parseTime reads a time, or how long ago it was.
func parseTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range layouts {
		t, err := time.ParseInLocation(layout, text, now.Location())
		switch {
		case err != nil:
			continue
		case t.Year() == 0:
			y, m, d := now.Date()
			t = t.AddDate(y, int(m)-1, d-1)
		}
		return t, nil
	}
	return time.Time{}, app.Usagef("--since: %q is no time: write 10m, 15:04 or 2006-01-02T15:04:05", show.Safe(text))
}
