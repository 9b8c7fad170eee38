package daemons

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/version"
)

// versions are this program's, and the daemon's where one runs.
type versions struct {
	Version   string         `json:"version"`
	Go        string         `json:"go"`
	Protocols api.Protocols  `json:"protocols"`
	Daemon    *daemonVersion `json:"daemon,omitempty"`
}

type daemonVersion struct {
	Version   string        `json:"version"`
	Protocols api.Protocols `json:"protocols"`
}

// NewVersion makes the command version.
func NewVersion(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program, of the daemon that runs, and of their protocols",
		Args:  app.Takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{Version: version.Version, Go: runtime.Version(), Protocols: client.Protocols()}
			var err error
			if v.Daemon, err = versionOfDaemon(cmd.Context(), a); err != nil {
				a.Tell(err, "") // ours is known all the same
			}
			if d := v.Daemon; d != nil && d.Version != v.Version {
				a.Tell(fmt.Errorf("the daemon is of another version, %s", d.Version),
					"To have the next command start this version's: banger daemon stop. VMs go on.")
			}
			if asJSON {
				return a.JSON(v)
			}
			if err := a.Line(fmt.Sprintf("banger %s (protocols: %s; %s)", v.Version, show.Protocols(v.Protocols), v.Go)); err != nil || v.Daemon == nil {
				return err
			}
			return a.Line(fmt.Sprintf("bangerd %s (protocols: %s)", v.Daemon.Version, show.Protocols(v.Daemon.Protocols)))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// versionOfDaemon asks a daemon that runs; it starts none.
func versionOfDaemon(ctx context.Context, a *app.App) (*daemonVersion, error) {
	c, err := a.Existing()
	if err != nil {
		return nil, err
	}
	s, err := status(ctx, c, 2*time.Second)
	switch {
	case api.KindOf(err) == api.KindUnavailable:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &daemonVersion{s.Version, s.Protocols}, nil
}
