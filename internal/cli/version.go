package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/version"
)

// versions are this program's.
type versions struct {
	Version  string `json:"version"`
	Protocol int    `json:"protocol"` // that it speaks with the daemon
	Go       string `json:"go"`
}

func newVersion(a *app.App) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print this program's version; the daemon's is in: banger daemon status",
		Args:  app.Takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			v := versions{version.Version, api.ProtocolVersion, runtime.Version()}
			if asJSON {
				return a.JSON(v)
			}
			return a.Line(fmt.Sprintf("banger %s (protocol %d, %s)", v.Version, v.Protocol, v.Go))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
