package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/vmm/qemu"
	"github.com/banger-vm/banger/test/host/call"
)

// How long a boot and a restore may take, on a busy machine.
const (
	bootLimit    = 4 * time.Minute
	restoreLimit = time.Minute
)

// PayloadBytes is the size of every payload disk: a saved host has one of this
// size already.
const PayloadBytes = 8 << 30

// cmdline is the kernel's. QEMU gives all vCPUs the processor's own counter,
// which a kernel under emulation can neither calibrate nor watch.
func cmdline(tscKHz int64) string {
	args := []string{
		"console=ttyS0", "quiet", "loglevel=4", "panic=-1", "no_timer_check", "random.trust_cpu=on", "mitigations=off",
		"systemd.show_status=0", "rd.udev.log_level=3",
	}
	if tscKHz > 0 {
		args = append(args, "tsc_early_khz="+strconv.FormatInt(tscKHz, 10), "tsc=reliable")
	}
	return strings.Join(args, " ")
}

func (l *Lab) processors() int { return max(l.cfg.Processors, 1) }

// arguments are those of a machine of this base that is booted.
func (l *Lab) arguments(root, memory, payload string, khz int64) arguments {
	return arguments{
		kernel: l.base.Kernel, initramfs: l.base.Initramfs, cmdline: cmdline(khz),
		root: root, modules: l.base.Modules, payload: payload, memory: memory, shared: true,
		processors: l.processors(),
	}
}

// boot boots a machine and returns it when its services are up.
func (l *Lab) boot(ctx context.Context, a arguments) (*Machine, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fmt.Errorf("the host is not up after %v", bootLimit))
	defer cancel()
	began := time.Now()
	m, err := l.launch(ctx, a.list())
	if err != nil {
		return nil, err
	}
	err = m.arrive(ctx, call.Arrival{})
	if err == nil {
		err = m.awaitServices(ctx)
	}
	if err != nil {
		return nil, m.abandon(err)
	}
	l.log.Info("the host is booted", "took", time.Since(began).Round(10*time.Millisecond))
	return m, nil
}

// Start returns a host with the payload disk: a saved one that is restored,
// or one that is booted if so configured.
func (l *Lab) Start(ctx context.Context, payload string) (*Machine, error) {
	if l.cfg.Fresh {
		khz, err := qemu.TSCKHz(ctx)
		if err != nil {
			return nil, err
		}
		m, err := l.boot(ctx, l.arguments("file="+comma(l.base.Root)+",format=raw,snapshot=on", "/dev/shm", payload, khz))
		if err != nil {
			return nil, err
		}
		return m, m.abandonOn(m.arrive(ctx, call.Arrival{Payload: true}))
	}
	dir, err := l.saved(ctx)
	if err != nil {
		return nil, err
	}
	return l.restore(ctx, dir, payload)
}

// restore starts a copy of the saved host in dir.
func (l *Lab) restore(ctx context.Context, dir, payload string) (*Machine, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, restoreLimit, fmt.Errorf("the host is not restored after %v", restoreLimit))
	defer cancel()
	began := time.Now()
	a := l.arguments("file="+comma(filepath.Join(dir, savedLayer))+",format=qcow2,snapshot=on", filepath.Join(dir, savedMemory), payload, 0)
	a.shared, a.incoming = false, true
	m, err := l.launch(ctx, a.list())
	if err != nil {
		return nil, err
	}
	if err := m.resume(ctx, filepath.Join(dir, savedState)); err != nil {
		return nil, m.abandon(err)
	}
	if err := m.arrive(ctx, call.Arrival{Payload: true}); err != nil {
		return nil, m.abandon(err)
	}
	l.log.Info("the host is restored", "took", time.Since(began).Round(10*time.Millisecond))
	return m, nil
}

// resume has QEMU read a state and go on from there.
func (m *Machine) resume(ctx context.Context, state string) error {
	if err := os.Symlink(state, filepath.Join(m.dir, savedState)); err != nil {
		return err
	}
	if err := m.do(ctx, "migrate-set-capabilities", ignoreShared); err != nil {
		return err
	}
	if err := m.do(ctx, "migrate-incoming", map[string]any{"uri": "exec:cat " + savedState}); err != nil {
		return err
	}
	if err := m.awaitMigration(ctx); err != nil {
		return err
	}
	return m.do(ctx, "cont", nil)
}

// abandonOn ends the machine if there is an error.
func (m *Machine) abandonOn(err error) error {
	if err == nil {
		return nil
	}
	return m.abandon(err)
}

// abandon ends a machine that did not come up.
func (m *Machine) abandon(err error) error {
	err = m.explain(errors.New("the host did not come up"), err)
	if closeErr := m.Close(); closeErr != nil {
		return fmt.Errorf("%w (and: %w)", err, closeErr)
	}
	return err
}

// awaitServices waits until systemd has finished, with success.
func (m *Machine) awaitServices(ctx context.Context) error {
	var out strings.Builder
	exit, err := m.Run(ctx, call.Run{
		Argv:    []string{"sh", "-c", "systemctl is-system-running --wait || { systemctl --failed --plain --no-legend; exit 1; }"},
		Timeout: bootLimit,
	}, IO{Stdout: &out, Stderr: &out})
	if err == nil && (exit.Code != 0 || exit.Error != "") {
		err = fmt.Errorf("its services failed (%d %s): %s", exit.Code, exit.Error, out.String())
	}
	return err
}

// emptyFile makes a sparse file.
func emptyFile(path string, size int64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return os.Truncate(path, size)
}
