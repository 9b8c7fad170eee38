//go:build bangertest

package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/operation"
)

// moments holds an operation up in the moment that the file moment/want in the
// state directory names (kind, step and instant, a line each) and calls that
// file moment/reached, until whoever runs the test removes it or ends the daemon.
func moments(stateDir string) func(operation.Moment) {
	want := filepath.Join(stateDir, "moment", "want")
	reached := filepath.Join(stateDir, "moment", "reached")
	return func(m operation.Moment) {
		text, err := os.ReadFile(want)
		if err != nil || strings.TrimSpace(string(text)) != strings.Join([]string{m.Kind, m.Step, string(m.At)}, "\n") {
			return
		}
		if os.Rename(want, reached) != nil { // another operation was first
			return
		}
		for range time.Minute / time.Millisecond {
			if _, err := os.Stat(reached); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
}
