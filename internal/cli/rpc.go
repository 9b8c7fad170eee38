package cli

import (
	_ "embed"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/internal/cli/app"
)

//go:embed rpc.json
var rpcSchema []byte

func newRPC(a *app.App) *cobra.Command {
	rpc := app.Group("rpc", "Describe the protocol, for other programs")
	rpc.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print methods, types and errors as JSON",
		Args:  app.Takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.Out.Write(rpcSchema)
			return err
		},
	})
	return rpc
}
