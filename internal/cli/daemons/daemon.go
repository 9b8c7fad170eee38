// Package daemons has the commands that tell of the daemon, and end it.
package daemons

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// New makes the command daemon.
func New(a *app.App) *cobra.Command {
	daemon := app.Group("daemon", "Look after the daemon, which starts by itself")
	daemon.AddCommand(newStatus(a), newStop(a), newLogs(a))
	return daemon
}

func newStatus(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether a daemon runs, and where; starts none",
		Args:  app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Existing()
			if err != nil {
				return err
			}
			s, err := status(cmd.Context(), c, answerTime)
			switch {
			case api.KindOf(err) == api.KindUnavailable:
				return api.NewError(api.KindUnavailable, err.Error(), "The next command that needs one starts it, for instance: banger ls")
			case err != nil:
				return err
			case asJSON:
				return a.JSON(s)
			}
			return show.Fields(a.Out, statusFields(s, a.Now())...)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func statusFields(s api.DaemonStatus, now time.Time) []string {
	units := "none: no systemd looks after this user's processes"
	switch s.Units {
	case "user":
		units = "each monitor and VMM has one of this user's systemd"
	case "system":
		units = "each monitor and VMM has one of the system's systemd"
	}
	fields := []string{
		"PID", strconv.Itoa(s.PID), "Version", s.Version, "Protocols", show.Protocols(s.Protocols),
		"Socket", s.Socket, "State", s.StateDir, "Log", s.LogFile, "Unit", s.Unit, "Units of VMs", units,
		"Started", show.Age(now.Sub(s.StartedAt)) + " ago", "VMs", fmt.Sprintf("%d, %d running", s.VMs, s.Running),
	}
	for _, r := range s.Reduced {
		fields = append(fields, "Reduced", r)
	}
	return fields
}

// answerTime is how long the daemon may take to tell its status.
const answerTime = 10 * time.Second

// status asks for it, but not for ever: the daemon may hang.
func status(ctx context.Context, c *client.Client, limit time.Duration) (api.DaemonStatus, error) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := c.DaemonStatus(bounded)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return s, api.NewError(api.KindDeadlineExceeded, fmt.Sprintf("the daemon did not answer within %v", limit),
			"Its log may say why: banger daemon logs. Its process is written in the file lock of the state directory; it can be killed without harm to VMs.")
	}
	return s, err
}

func newStop(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "End the daemon; VMs and what runs in them go on",
		Args:  app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.Existing()
			if err != nil {
				return err
			}
			s, err := status(cmd.Context(), c, answerTime)
			if api.KindOf(err) == api.KindUnavailable {
				a.Say("no daemon runs")
				return nil
			}
			if err != nil {
				return err
			}
			// One that goes away while it is asked is gone as well.
			if err := c.DaemonStop(cmd.Context()); err != nil && api.KindOf(err) != api.KindUnavailable {
				return err
			}
			return gone(cmd.Context(), s)
		},
	}
}

// gone waits until a daemon that was asked to stop has done so.
func gone(ctx context.Context, s api.DaemonStatus) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		if !client.Answers(ctx, s.Socket) && !alive(s.PID) {
			return nil
		}
		select {
		case <-ctx.Done():
			return api.NewError(api.KindDeadlineExceeded, fmt.Sprintf("the daemon (process %d) has not ended yet", s.PID),
				"Its log may say why: banger daemon logs")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// alive reports whether a process is there and no zombie: nobody may reap a
// daemon whose starter is gone.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the state follows the name
	return !strings.HasPrefix(rest, "Z")
}
