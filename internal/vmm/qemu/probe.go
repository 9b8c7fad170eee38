package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/vmm"
)

const (
	kvmDevice = "/dev/kvm"
	// A guest with KVM prints within a fraction of a second.
	probeSilence = 4 * time.Second // without a first byte
	probeLimit   = 8 * time.Second // without the answer
	// probeOutput bounds what we read of the guest's.
	probeOutput = 1 << 20
)

// kvmReason says why KVM does not work for guests with this kernel; "" if it
// does. A device that opens proves nothing, so a tiny guest must answer once.
func (d *Driver) kvmReason(ctx context.Context, kernel, initramfs string) (string, error) {
	if reason := openKVM(); reason != "" {
		return reason, nil
	}
	if kernel == "" || initramfs == "" {
		return vmm.NotTried, nil
	}
	binary, err := d.binary()
	if err != nil {
		return "", err
	}
	key, err := verdictKey(binary, kernel)
	if err != nil {
		return "", err
	}
	if v, ok := d.knownVerdict(key); ok {
		return v.Reason, nil
	}
	// The probe serves all who ask meanwhile, so no single one's end ends it.
	ch := d.probes.DoChan(key, func() (any, error) {
		return d.probe(context.WithoutCancel(ctx), key, kernel, initramfs)
	})
	select {
	case res := <-ch:
		reason, _ := res.Val.(string)
		return reason, res.Err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// openKVM says why this user cannot open the device.
func openKVM() string {
	f, err := os.OpenFile(kvmDevice, os.O_RDWR, 0)
	switch {
	case err == nil:
		_ = f.Close() // nothing was done with it
		return ""
	case errors.Is(err, os.ErrNotExist):
		return "this host has no " + kvmDevice + ": its processor or its own hypervisor offers no virtualisation, or the kvm module is not loaded"
	case errors.Is(err, os.ErrPermission):
		return "this user may not open " + kvmDevice + "; sudo usermod -aG kvm $USER, then log in again, changes that"
	}
	return fmt.Sprintf("%s cannot be opened: %v", kvmDevice, err)
}

// probe boots the tiny guest and keeps its verdict. A probe that could not be
// made is an error and no verdict.
func (d *Driver) probe(ctx context.Context, key, kernel, initramfs string) (string, error) {
	dir, err := os.MkdirTemp("", "banger-probe-")
	if err != nil {
		return "", fmt.Errorf("making a directory for the KVM probe: %w", err)
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	reason, err := d.probeIn(ctx, dir, kernel, initramfs)
	if err != nil {
		return "", fmt.Errorf("trying KVM with a tiny guest: %w", err)
	}
	d.log.InfoContext(ctx, "KVM was tried with a tiny guest", "works", reason == "", "reason", reason, "took", time.Since(began))
	if err := d.keepVerdict(verdict{Key: key, Reason: reason, At: began.UTC()}); err != nil {
		d.log.WarnContext(ctx, "the verdict on KVM cannot be kept; it will be asked for again", "err", err)
	}
	return reason, nil
}

// probeIn runs the guest and says why it failed; "" if it answered.
func (d *Driver) probeIn(ctx context.Context, dir, kernel, initramfs string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	spec := vmm.Spec{
		Name: "kvm-probe", Dir: dir, CPUs: 1, MemoryBytes: 256 << 20,
		Kernel: kernel, Initramfs: initramfs, Cmdline: []string{wire.ArgProbe},
	}
	m, err := d.launch(ctx, spec, vmm.AccelKVM)
	if errors.Is(err, errEnded) {
		return fmt.Sprintf("KVM opens, but QEMU cannot run a guest with it: %s", lastWords(dir)), nil
	}
	if err != nil {
		return "", err
	}
	console, err := m.Console(ctx)
	if err != nil {
		return "", errors.Join(err, discard(m))
	}
	return probeAnswer(ctx, console), discard(m)
}

// probeAnswer waits for the guest's answer on its console.
func probeAnswer(ctx context.Context, console io.Reader) string {
	found := make(chan bool, 1)
	first := make(chan struct{}, 1)
	go func() { found <- scanAnswer(console, first) }()
	silence := time.After(probeSilence)
	for {
		select {
		case ok := <-found:
			if ok {
				return ""
			}
			return "KVM opens, but a tiny guest ended without an answer"
		case <-first:
			silence = nil
		case <-silence:
			return fmt.Sprintf("KVM opens, but a tiny guest printed nothing within %v", probeSilence)
		case <-ctx.Done():
			return fmt.Sprintf("KVM opens, but a tiny guest did not answer within %v", probeLimit)
		}
	}
}

// scanAnswer reads until the answer, the end or the bound. Closing the machine
// ends it.
func scanAnswer(console io.Reader, first chan<- struct{}) bool {
	var seen []byte
	buf := make([]byte, 4096)
	for len(seen) < probeOutput {
		n, err := console.Read(buf)
		if n > 0 && seen == nil {
			first <- struct{}{}
		}
		seen = append(seen, buf[:n]...)
		if bytes.Contains(seen, []byte(wire.ProbeAnswer)) {
			return true
		}
		if err != nil {
			return false
		}
	}
	return false
}
