package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// logTail is how much of a monitor's log an error carries.
const logTail = 1 << 10

func silent(err error) bool { return errors.Is(err, errSilent) }

// pause keeps repeated attempts from using up a processor.
func pause(ctx context.Context, round int) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(50 * time.Millisecond << min(round, 5)):
		return nil
	}
}

// gaveUp says why a monitor does not stay up, in its own last words.
func (r *Runtime) gaveUp(dir string, err error) error {
	if silent(err) {
		return err
	}
	log, rerr := os.ReadFile(filepath.Join(dir, LogFile)) // bounded by the monitor
	if rerr != nil {
		return errors.Join(err, rerr)
	}
	return fmt.Errorf("the VM's monitor does not stay up: %w; its last words:\n%s", err, log[max(0, len(log)-logTail):])
}
