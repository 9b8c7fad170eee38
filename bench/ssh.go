package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/vmm/firecracker"
)

// sshGuest is a VM with two ways to its sshd: banger's, and a bare pipe of bytes
// on the same kind of channel. On Firecracker the pipe is a vsock port of the
// VM's, with a program in the guest that listens there. QEMU's channel is a
// virtio-serial port, and has no room for anybody else; so the VM's QEMU is
// given another one, by a program in QEMU's place that adds it to the command
// line. banger is as it always is: it knows nothing of either.
type sshGuest struct {
	*rig
	vm   string
	pipe string // as the option -pipe has it
}

// secureShell measures OpenSSH from its start to its exit, by banger's
// ProxyCommand and by a bare pipe, to the same sshd.
func secureShell(ctx context.Context, b *bench) (err error) {
	g, err := b.sshGuest(ctx)
	if err != nil {
		return err
	}
	if g.rig != b.rig {
		defer func() { err = errors.Join(err, g.close()) }()
	}
	if err := g.lay(ctx, b.floor.init); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	through := []string{"-o", fmt.Sprintf("ProxyCommand='%s' -pipe '%s'", program, g.pipe)}
	var bare, ours samples
	for range (b.rounds(20) + atATime - 1) / atATime {
		err := g.repeat(ctx, &bare, through...)
		if err == nil {
			err = g.repeat(ctx, &ours)
		}
		if err != nil {
			return err
		}
	}
	b.add(row{"ssh from its start to its exit, against OpenSSH on a bare pipe to the same sshd", "ssh dev.vm true", "ms", bare, ours, 1.3})
	return nil
}

// sshGuest makes the VM.
func (b *bench) sshGuest(ctx context.Context) (g sshGuest, err error) {
	if b.facts.driver == firecracker.DriverName {
		vm, err := b.rig.client.VMInspect(ctx, b.vm)
		return sshGuest{rig: b.rig, vm: b.vm, pipe: fmt.Sprintf("%s:%d", filepath.Join(vm.Dir, "fc", vsockSocket), pipePort)}, err
	}
	const name = "pipe"
	dir := filepath.Join(b.dir, "ssh")
	program, err := withPort(b.facts.program, b.dir)
	if err != nil {
		return g, err
	}
	r, err := newRig(b.rig.bin, dir, b.rig.places.CacheDir, "BANGER_QEMU="+program)
	if err != nil {
		return g, err
	}
	for _, argv := range [][]string{append([]string{"vm", "create", "-n", name}, b.kind.flags()...), {"start", name}} {
		if _, err := r.run(ctx, argv...); err != nil {
			return g, errors.Join(err, r.close())
		}
	}
	vm, err := r.settle(ctx, name)
	if err != nil {
		return g, errors.Join(err, r.close())
	}
	return sshGuest{rig: r, vm: name, pipe: filepath.Join(vm.Dir, pipeSocket)}, nil
}

// pipeSocket is the host's end of the other port, in the VM's directory.
const pipeSocket = "pipe.sock"

// withPort makes a program that is QEMU with one more port.
func withPort(qemu, dir string) (string, error) {
	path := filepath.Join(dir, "qemu-with-a-port")
	script := fmt.Sprintf(`#!/bin/sh
case "$*" in *virtserialport,*)
	set -- "$@" -chardev socket,id=pipe,path=%s,server=on,wait=off -device virtserialport,chardev=pipe,name=floor.pipe
esac
exec '%s' "$@"
`, pipeSocket, qemu)
	return path, os.WriteFile(path, []byte(script), 0o755)
}

// lay starts the guest's end of the pipe.
func (g sshGuest) lay(ctx context.Context, program string) error {
	for _, argv := range [][]string{
		{"cp", program, g.vm + ":pipe"},
		{"exec", "-d", "-u", "root", g.vm, "--", "/home/dev/pipe", "pipe"},
	} {
		if _, err := g.run(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

// between is how long the pipe's end in the guest gets to see that the host has
// gone, before it comes again. The other side has the same rest.
const between = 200 * time.Millisecond

// repeat measures a turn.
func (g sshGuest) repeat(ctx context.Context, into *samples, options ...string) error {
	for i := range atATime + 1 {
		start := time.Now()
		if err := g.ssh(ctx, options...); err != nil {
			return err
		}
		if i > 0 { // the first finds the other side's traces in all caches
			into.add(time.Since(start))
		}
		time.Sleep(between)
	}
	return nil
}

// ssh runs a command that does nothing by ssh.
func (g sshGuest) ssh(ctx context.Context, options ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	config := filepath.Join(g.places.StateDir, "ssh", "config")
	cmd := exec.CommandContext(ctx, "ssh", append(append([]string{"-F", config}, options...), g.vm+".vm", "true")...)
	cmd.Env = g.env
	cmd.WaitDelay = time.Second // a proxy that outlives its ssh holds the output
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ssh %q: %w: %s", options, err, bytes.TrimSpace(out))
	}
	return nil
}
