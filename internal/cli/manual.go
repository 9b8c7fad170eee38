package cli

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/man"
	"github.com/banger-vm/banger/internal/version"
)

// newManual is for make install and for those who make packages. The pages bear
// the date of SOURCE_DATE_EPOCH, if any, so that a build can be made again.
func newManual() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a directory",
		Hidden: true,
		Args:   app.Takes(1, 1, "the directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f := man.Footer{Version: version.Version}
			if text := os.Getenv("SOURCE_DATE_EPOCH"); text != "" {
				seconds, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return fmt.Errorf("SOURCE_DATE_EPOCH is no number of seconds: %w", err)
				}
				f.Date = time.Unix(seconds, 0)
			}
			return man.Write(cmd.Root(), f, args[0])
		},
	}
}
