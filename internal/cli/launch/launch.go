// Package launch starts banger's daemon when a command finds none.
package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/calm"
	"github.com/banger-vm/banger/internal/places"
)

const (
	poll     = 5 * time.Millisecond
	patience = 30 * time.Second // of a busy host; a daemon that ends is told at once
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
	bin, err := Program()
	if err != nil {
		return err
	}
	if err := awaitLeave(ctx, p); err != nil {
		return err
	}
	return start(ctx, bin, p)
}

// awaitLeave waits, within patience, until no daemon has the state directory:
// one that stops gives its socket up first.
func awaitLeave(ctx context.Context, p places.Places) error {
	f, err := os.OpenFile(filepath.Join(p.StateDir, "lock"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the state directory's lock: %w", err)
	}
	defer f.Close()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil || client.Answers(ctx, p.Socket) {
			return nil // closing it gives it back
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for another daemon to end: %w", ctx.Err())
		case <-time.After(poll):
		}
	}
	return nil // the next daemon says who has it
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

// Program finds bangerd next to this program, then in PATH.
func Program() (string, error) {
	if self, err := os.Executable(); err == nil {
		bin := filepath.Join(filepath.Dir(self), "bangerd")
		if info, err := os.Stat(bin); err == nil && info.Mode().IsRegular() {
			return bin, nil
		}
	}
	bin, err := exec.LookPath("bangerd")
	if err != nil {
		return "", api.NewError(api.KindUnavailable, "the program bangerd was not found",
			"Put it next to banger, or into a directory of PATH.")
	}
	return bin, nil
}

// start starts the daemon in a session of its own and waits until it answers.
func start(ctx context.Context, bin string, p places.Places) error {
	stderr, said, err := openStderr(StderrFile(p))
	if err != nil {
		return fmt.Errorf("opening the daemon's standard error: %w", err)
	}
	defer stderr.Close()
	cmd := exec.Command(bin, "--state-dir", p.StateDir, "--runtime-dir", p.RuntimeDir, "--socket", p.Socket)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), places.EnvCacheDir+"="+p.CacheDir, places.EnvConfig+"="+p.ConfigFile) // absolute
	cmd.Stdout, cmd.Stderr = stderr, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := calm.Start(calm.Late, cmd.Start); err != nil {
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
			return died(p, said, err)
		case <-deadline:
			return api.NewError(api.KindUnavailable,
				fmt.Sprintf("the daemon was started but did not answer within %v", patience), "Its log may say why: banger daemon logs")
		case <-time.After(poll):
		}
	}
}

// maxStderr is the size at which the file begins anew; one older one is kept.
const maxStderr = 1 << 20

// openStderr opens the file behind what earlier daemons said, which is size
// bytes: their last words are not to be lost by the next one's start.
func openStderr(path string) (f *os.File, size int64, err error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxStderr {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, err
		}
	}
	f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// died makes an error of what the daemon said last, behind the first from bytes.
func died(p places.Places, from int64, err error) error {
	message, hint := "it said nothing", "Its log may say why: banger daemon logs"
	if err != nil {
		message = err.Error()
	}
	said, readErr := os.ReadFile(StderrFile(p))
	if readErr != nil || int64(len(said)) < from {
		said, from = nil, 0 // the exit status has to do
	}
	said = said[from:]
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
