package machine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm/qemu"
	"github.com/banger-vm/banger/test/host/cachedir"
	"github.com/banger-vm/banger/test/host/call"
)

// Files of a saved host.
const (
	savedLayer  = "layer.qcow2"
	savedMemory = "memory"
	savedState  = "state"
	savedTSC    = "tsc" // the frequency of its counter in kHz; written last
)

// unusedFor is how long a saved host is kept that nobody restores.
const unusedFor = 3 * 24 * time.Hour

// saveRecipe changes with all here that a saved host depends on.
const saveRecipe = "test-host-1"

// saved returns the directory of the saved host, booting and saving one if
// there is none for this base, QEMU and processor.
func (l *Lab) saved(ctx context.Context) (string, error) {
	id, err := l.saveID(ctx)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(l.cfg.Dir, "saved", id)
	release, err := cachedir.Lock(ctx, filepath.Join(l.cfg.Dir, "saved.lock"))
	if err != nil {
		return "", err
	}
	defer release()
	khz, err := qemu.TSCKHz(ctx)
	if err != nil {
		return "", err
	}
	if usable(dir, khz) {
		return dir, cachedir.Touch(dir)
	}
	if err := cachedir.DropUnused(filepath.Dir(dir), unusedFor); err != nil {
		return "", err
	}
	l.log.Info("booting the host once, to save it")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return "", err
	}
	if err := l.save(ctx, dir, khz); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// usable says whether there is a saved host whose clock would be right here.
func usable(dir string, khz int64) bool {
	text, err := os.ReadFile(filepath.Join(dir, savedTSC))
	if err != nil {
		return false
	}
	was, err := strconv.ParseInt(string(text), 10, 64)
	return err == nil && max(was-khz, khz-was)*1000 < max(khz, 1)
}

func (l *Lab) saveID(ctx context.Context) (string, error) {
	version, err := l.run.Run(ctx, hostexec.Cmd{Name: "qemu-system-x86_64", Args: []string{"--version"}})
	if err != nil {
		return "", err
	}
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	model := ""
	for line := range strings.Lines(string(cpu)) {
		if strings.HasPrefix(line, "model name") {
			model = line
			break
		}
	}
	args := arguments{cmdline: cmdline(0), processors: l.processors()}.list()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s%s\n%q %d", saveRecipe, l.base.ID, version.Stdout, model, args, PayloadBytes))
	return hex.EncodeToString(sum[:8]), nil
}

// save boots a host and saves it into dir.
func (l *Lab) save(ctx context.Context, dir string, khz int64) error {
	layer := filepath.Join(dir, savedLayer)
	if _, err := l.run.Run(ctx, hostexec.Cmd{Name: "qemu-img", Args: []string{
		"create", "-q", "-f", "qcow2", "-F", "raw", "-b", l.base.Root, layer,
	}}); err != nil {
		return fmt.Errorf("making the root's layer (sudo apt-get install qemu-utils): %w", err)
	}
	payload := filepath.Join(dir, "payload")
	if err := emptyFile(payload, PayloadBytes); err != nil {
		return err
	}
	m, err := l.boot(ctx, l.arguments("file="+comma(layer)+",format=qcow2", filepath.Join(dir, savedMemory), payload, khz))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fmt.Errorf("the host is not saved after %v", bootLimit))
	defer cancel()
	err = m.settle(ctx)
	if err == nil {
		err = m.store(ctx, filepath.Join(dir, savedState))
	}
	if err = errors.Join(err, m.Close(), os.Remove(payload)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, savedTSC), []byte(strconv.FormatInt(khz, 10)), 0o600)
}

// settle leaves little memory in use and nothing to write.
func (m *Machine) settle(ctx context.Context) error {
	exit, err := m.Run(ctx, call.Run{
		Argv:    []string{"sh", "-c", "udevadm settle && sync && echo 3 >/proc/sys/vm/drop_caches && fstrim / && sync"},
		Timeout: time.Minute,
	}, IO{})
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("settling the host failed: %+v", exit)
	}
	return err
}

// store stops the machine and writes its state, but for its memory, which is
// in its file. QEMU then has nothing left to write.
func (m *Machine) store(ctx context.Context, path string) error {
	if err := m.agent.Close(); err != nil {
		return err
	}
	if err := m.do(ctx, "stop", nil); err != nil {
		return err
	}
	if err := m.do(ctx, "migrate-set-capabilities", ignoreShared); err != nil {
		return err
	}
	if err := m.do(ctx, "migrate", map[string]any{"uri": "exec:cat >" + savedState}); err != nil {
		return err
	}
	if err := m.awaitMigration(ctx); err != nil {
		return err
	}
	if err := m.do(ctx, "quit", nil); err != nil {
		return err
	}
	select {
	case <-m.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return os.Rename(filepath.Join(m.dir, savedState), path)
}

// ignoreShared leaves the memory where it is, in its file.
var ignoreShared = map[string]any{"capabilities": []map[string]any{{"capability": "x-ignore-shared", "state": true}}}

func (m *Machine) do(ctx context.Context, command string, args any) error {
	return m.qmp.Execute(ctx, command, args, nil)
}

// awaitMigration waits until a state has gone out, or come in.
func (m *Machine) awaitMigration(ctx context.Context) error {
	for {
		var info struct {
			Status string `json:"status"`
			Error  string `json:"error-desc"`
		}
		if err := m.qmp.Execute(ctx, "query-migrate", nil, &info); err != nil {
			return err
		}
		switch info.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("QEMU says of the host's state: %s %s", info.Status, info.Error)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-m.ended:
			return m.explain(errors.New("QEMU ended"), m.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
