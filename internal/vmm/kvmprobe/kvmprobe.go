// Package kvmprobe finds out whether a VMM can run guests with KVM here: a
// device that opens proves nothing, so a tiny guest must answer once. The
// verdict is kept for as long as all that it depends on stays the same.
package kvmprobe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/vmm"
)

const (
	// A guest with KVM prints within a fraction of a second.
	silence = 4 * time.Second // without a first byte
	// Limit bounds a probe; where the host itself is emulated, a multiple does.
	Limit = 8 * time.Second
	// maxOutput bounds what we read of the guest's.
	maxOutput = 1 << 20
)

// ErrRefused is in the error of a VMM that cannot run a guest with KVM; its
// message says why. Any other error of a Boot is no verdict.
var ErrRefused = errors.New("KVM opens, but cannot run a guest")

// Boot starts a machine with KVM.
type Boot func(ctx context.Context, spec vmm.Spec) (vmm.Machine, error)

// Prober gives the verdicts of one VMM.
type Prober struct {
	vmm      string
	cacheDir string
	log      *slog.Logger
	boot     Boot
	probes   singleflight.Group

	mu       sync.Mutex
	verdicts map[string]verdict // of this process, by key
}

// New makes a prober. cacheDir keeps the verdicts for later processes; "": nobody does.
func New(vmmName, cacheDir string, log *slog.Logger, boot Boot) *Prober {
	return &Prober{vmm: vmmName, cacheDir: cacheDir, log: log, boot: boot, verdicts: map[string]verdict{}}
}

// Reason says why KVM does not work for guests with this kernel and the VMM
// at binary; "" if it does.
func (p *Prober) Reason(ctx context.Context, binary, kernel, initramfs string) (string, error) {
	if reason := OpenDevice(); reason != "" {
		return reason, nil
	}
	if kernel == "" || initramfs == "" {
		return vmm.NotTried, nil
	}
	key, err := verdictKey(binary, kernel)
	if err != nil {
		return "", err
	}
	if v, ok := p.knownVerdict(key); ok {
		return v.Reason, nil
	}
	// The probe serves all who ask meanwhile, so no single one's end ends it.
	ch := p.probes.DoChan(key, func() (any, error) {
		return p.probe(context.WithoutCancel(ctx), key, kernel, initramfs)
	})
	select {
	case res := <-ch:
		reason, _ := res.Val.(string)
		return reason, res.Err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Isolation is that of the guest which was tried, "" where none was or it did
// not start.
func (p *Prober) Isolation(binary, kernel string) vmm.Isolation {
	if kernel == "" {
		return ""
	}
	key, err := verdictKey(binary, kernel)
	if err != nil {
		return ""
	}
	v, _ := p.knownVerdict(key)
	return v.Isolation
}

// probe boots the tiny guest and keeps its verdict. A probe that could not be
// made is an error and no verdict.
func (p *Prober) probe(ctx context.Context, key, kernel, initramfs string) (string, error) {
	dir, err := os.MkdirTemp("", "banger-probe-")
	if err != nil {
		return "", fmt.Errorf("making a directory for the KVM probe: %w", err)
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	reason, isolation, err := p.probeIn(ctx, vmm.Spec{
		Name: "kvm-probe", Dir: dir, CPUs: 1, MemoryBytes: 256 << 20, Accel: vmm.AccelKVM,
		Kernel: kernel, Initramfs: initramfs, Cmdline: []string{wire.ArgProbe},
	})
	if err != nil {
		return "", fmt.Errorf("trying KVM with a tiny guest: %w", err)
	}
	p.log.InfoContext(ctx, "KVM was tried with a tiny guest",
		"vmm", p.vmm, "works", reason == "", "reason", reason, "took", time.Since(began))
	if err := p.keepVerdict(verdict{Key: key, Reason: reason, Isolation: isolation, At: began.UTC()}); err != nil {
		p.log.WarnContext(ctx, "the verdict on KVM cannot be kept; it will be asked for again", "err", err)
	}
	return reason, nil
}

// probeIn runs the guest and says why it failed, "" if it answered, and how its
// VMM was isolated.
func (p *Prober) probeIn(ctx context.Context, spec vmm.Spec) (reason string, isolation vmm.Isolation, _ error) {
	slowness := slownessOf(cpuinfo)
	ctx, cancel := context.WithTimeout(ctx, Limit*slowness)
	defer cancel()
	m, err := p.boot(ctx, spec)
	if errors.Is(err, ErrRefused) {
		return err.Error(), "", nil
	}
	if err != nil {
		return "", "", err
	}
	console, err := m.Console(ctx)
	if err != nil {
		return "", "", errors.Join(err, discard(m))
	}
	return awaitAnswer(ctx, console, slowness), m.Facts().Isolation, discard(m)
}

// discard ends the guest, whatever became of the probe's context.
func discard(m vmm.Machine) error {
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	return errors.Join(m.Kill(ctx), m.Close())
}
