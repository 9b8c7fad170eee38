package app

import "github.com/spf13/cobra"

// RegisterForce adds the flag of a start that this host cannot carry.
func RegisterForce(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "start also where this host has too little memory, processors or disk left (banger info)")
}
