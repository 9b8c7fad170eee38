package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/internal/cli/show"
)

// Group makes a command that only holds others.
func Group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ArbitraryArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return Unknown(cmd, args[0])
		},
	}
}

// Unknown names the command that was meant, perhaps.
func Unknown(cmd *cobra.Command, word string) error {
	msg := fmt.Sprintf("%q is no command of %s", show.Safe(word), cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if len(word) <= 3 { // anything is near to that
		cmd.SuggestionsMinimumDistance = 1
	}
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		slices.Sort(near)
		msg += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return Usagef("%s", msg)
}

// Takes checks the number of arguments; most -1 is any.
func Takes(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return Usagef("%s is missing", what)
		case most >= 0 && len(args) > most:
			return Usagef("%q is one argument too many", show.Safe(args[most]))
		case slices.Contains(args[:least], ""):
			return Usagef("%s is empty", what)
		}
		return nil
	}
}

// Command drops the "--" before a command.
func Command(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}
