package checkup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/launch"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/version"
)

// bangerd is the program as a doctor: it knows the host, and needs no daemon.
type bangerd struct {
	program string
	places  places.Places
}

func newBangerd(p places.Places) (bangerd, error) {
	program, err := launch.Program()
	return bangerd{program, p}, err
}

// environment leads any program of banger's to the same places.
func environment(p places.Places) []string {
	return append(os.Environ(), places.EnvStateDir+"="+p.StateDir, places.EnvRuntimeDir+"="+p.RuntimeDir,
		places.EnvSocket+"="+p.Socket, places.EnvCacheDir+"="+p.CacheDir, places.EnvConfig+"="+p.ConfigFile)
}

// ask runs "bangerd doctor" and takes what it prints.
func (b bangerd) ask(ctx context.Context, into any, args ...string) error {
	cmd := exec.CommandContext(ctx, b.program, append([]string{"doctor", "--cli-version", version.Version}, args...)...)
	cmd.Env = environment(b.places)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return refused(said.String(), err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("what %s says is not understood (is it of this version?): %w", b.program, err)
	}
	return nil
}

// refused is an error of what bangerd said last.
func refused(said string, err error) error {
	message, hint := "bangerd cannot be run: "+err.Error(), ""
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if h, ok := strings.CutPrefix(line, "hint: "); ok {
			hint = h
		} else if line != "" {
			message = strings.TrimPrefix(line, "bangerd doctor: ")
		}
	}
	return api.NewError(api.KindFailedPrecondition, message, hint)
}
