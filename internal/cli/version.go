package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/version"
)

func newVersion(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print this program's version; the daemon's is in: banger daemon status",
		Args:  app.Takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			return a.Line(fmt.Sprintf("banger %s (protocol %d, %s)", version.Version, api.ProtocolVersion, runtime.Version()))
		},
	}
}
