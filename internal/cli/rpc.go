package cli

import (
	_ "embed" // for the schema

	"github.com/spf13/cobra"
)

//go:embed rpc.json
var rpcSchema []byte

func newRPC(a *app) *cobra.Command {
	rpc := group("rpc", "Describe the protocol, for other programs")
	rpc.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print methods, types and errors as JSON",
		Args:  takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(rpcSchema)
			return err
		},
	})
	return rpc
}
