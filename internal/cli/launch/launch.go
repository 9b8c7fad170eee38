// Package launch starts banger's daemon when a command finds none.
package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/places"
)

const (
	poll     = 5 * time.Millisecond
	patience = 10 * time.Second
)

// StderrFile is where the daemon's standard error goes: what it says before
// its log is open, and after it has panicked.
func StderrFile(p places.Places) string { return filepath.Join(p.StateDir, "bangerd.stderr") }

// Daemon starts the daemon and returns once it answers on its socket. Any
// number of processes may try at once: one starts it, all return.
func Daemon(ctx context.Context, p places.Places) error {
	if err := p.Make(); err != nil {
		return api.NewError(api.KindFailedPrecondition, err.Error(), "")
	}
	lock, err := acquire(ctx, filepath.Join(p.RuntimeDir, "start.lock"))
	if err != nil {
		return err
	}
	defer lock.Close() // releases it
	if client.Answers(ctx, p.Socket) {
		return nil // another process was faster
	}
	env := places.SystemEnv()
	if done, err := managerOf(env).startUnit(ctx, p, env); done || err != nil {
		return err
	}
	bin, err := find()
	if err != nil {
		return err
	}
	return start(ctx, bin, p)
}

// acquire takes the lock file for itself, waiting for whoever has it.
func acquire(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock for starting the daemon: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for the daemon to start: %w", ctx.Err()), f.Close())
		case <-time.After(poll):
		}
	}
}

// find finds bangerd next to this program, then in PATH.
func find() (string, error) {
	if self, err := os.Executable(); err == nil {
		bin := filepath.Join(filepath.Dir(self), "bangerd")
		if info, err := os.Stat(bin); err == nil && info.Mode().IsRegular() {
			return bin, nil
		}
	}
	bin, err := exec.LookPath("bangerd")
	if err != nil {
		return "", api.NewError(api.KindUnavailable, "no daemon answers, and the program bangerd was not found",
			"Put it next to banger, or into a directory of PATH.")
	}
	return bin, nil
}

// start starts the daemon in a session of its own and waits until it answers.
func start(ctx context.Context, bin string, p places.Places) error {
	stderr, err := os.OpenFile(StderrFile(p), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the daemon's standard error: %w", err)
	}
	defer stderr.Close()
	cmd := exec.Command(bin, "--state-dir", p.StateDir, "--runtime-dir", p.RuntimeDir, "--socket", p.Socket)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = stderr, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return api.NewError(api.KindUnavailable, fmt.Sprintf("the daemon %s cannot be started: %v", bin, err), "")
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	deadline := time.After(patience)
	for {
		if client.Answers(ctx, p.Socket) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the daemon to start: %w", ctx.Err())
		case err := <-ended:
			return died(p, err)
		case <-deadline:
			return api.NewError(api.KindUnavailable,
				fmt.Sprintf("the daemon was started but did not answer within %v", patience), "Its log may say why: banger daemon logs")
		case <-time.After(poll):
		}
	}
}

// died makes an error of what the daemon said last.
func died(p places.Places, err error) error {
	message, hint := "it said nothing", "Its log may say why: banger daemon logs"
	if err != nil {
		message = err.Error()
	}
	said, readErr := os.ReadFile(StderrFile(p))
	if readErr != nil {
		said = nil // the exit status has to do
	}
	for line := range strings.Lines(string(said)) {
		line = strings.TrimSpace(line)
		if h, ok := strings.CutPrefix(line, "hint: "); ok {
			hint = h
		} else if line != "" {
			message = strings.TrimPrefix(line, "bangerd: ")
		}
	}
	return api.NewError(api.KindUnavailable, "the daemon ended as soon as it was started: "+message, hint)
}
