package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

// cold measures from nothing but an image to the first byte that a command in
// a new VM writes: disks, VMM, kernel, init, exec.
func cold(ctx context.Context, b *bench) error {
	var floor, process, whole, through samples
	var parts bootParts
	for range max(b.rounds(7), 3) {
		took, err := b.floorCold(ctx)
		if err != nil {
			return err
		}
		floor.add(took)
		first, end, err := b.bangerRun(ctx)
		if err != nil {
			return err
		}
		process.add(first)
		whole.add(end)
		if took, err = b.clientCold(ctx, &parts); err != nil {
			return err
		}
		through.add(took)
	}
	b.add(
		row{"cold create → first output, whole process", "banger run --rm debian -- echo x", "ms", floor, process, b.limits.cold},
		row{"cold create → first output, client", "create and start, then exec echo x", "ms", floor, through, b.limits.cold},
		row{"the whole run, VM removed again", "banger run --rm debian -- echo x", "ms", nil, whole, 0},
	)
	b.add(parts.rows()...)
	return nil
}

// bootParts says where the time of a cold boot goes, by the VM's own account.
type bootParts struct{ disk, spawn, kernel, init, agent samples }

func (p *bootParts) note(t api.Timings) {
	for _, s := range []struct {
		into *samples
		ms   float64
	}{{&p.disk, t.DiskMS}, {&p.spawn, t.SpawnMS}, {&p.kernel, t.KernelMS}, {&p.init, t.InitMS}, {&p.agent, t.AgentReadyMS}} {
		*s.into = append(*s.into, s.ms)
	}
}

func (p *bootParts) rows() []row {
	return []row{
		{"– of it: making the disks", "", "ms", nil, p.disk, 0},
		{"– of it: monitor's start of the VMM until its vCPUs run", "", "ms", nil, p.spawn, 0},
		{"– of it: kernel", "", "ms", nil, p.kernel, 0},
		{"– of it: init, until its agent listens", "", "ms", nil, p.init, 0},
		{"– in all from the VMM's start until commands run", "", "ms", nil, p.agent, 0},
	}
}

func (b *bench) floorCold(ctx context.Context) (took time.Duration, err error) {
	start := time.Now()
	vm, err := b.floor.boot(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, vm.end()) }()
	out, err := vm.run("echo x")
	took = time.Since(start)
	if err == nil && out != "x\n" {
		err = fmt.Errorf("the floor's guest said %q", out)
	}
	return took, err
}

// bangerRun returns the time to the first byte and to the end.
func (b *bench) bangerRun(ctx context.Context) (first, end time.Duration, err error) {
	start := time.Now()
	cmd := b.rig.command(ctx, append(append([]string{"run", "--rm"}, b.kind.flags()...), "debian", "--", "echo", "x")...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	said := make([]byte, 2)
	_, err = io.ReadFull(out, said)
	first = time.Since(start)
	err = errors.Join(err, cmd.Wait())
	end = time.Since(start)
	if err != nil || string(said) != "x\n" {
		return 0, 0, fmt.Errorf("banger run said %q: %w: %s", said, err, errs.Bytes())
	}
	return first, end, nil
}

// firstByte notes when the first byte comes.
type firstByte struct{ at time.Time }

func (f *firstByte) Write(p []byte) (int, error) {
	if f.at.IsZero() {
		f.at = time.Now()
	}
	return len(p), nil
}

func (b *bench) clientCold(ctx context.Context, parts *bootParts) (took time.Duration, err error) {
	start := time.Now()
	first, err := b.echoing(ctx, "cold")
	if err != nil {
		return 0, err
	}
	v, err := b.rig.client.VMInspect(ctx, "cold")
	if err != nil {
		return 0, err
	}
	parts.note(v.Boot.Timings)
	_, err = b.forget(ctx, "cold")
	return first.Sub(start), err
}

// echoing makes a VM and returns when the first output of a command in it came.
func (b *bench) echoing(ctx context.Context, name string) (time.Time, error) {
	c := b.rig.client
	op, err := c.VMCreateBegin(ctx, api.VMCreateRequest{Spec: b.kind.spec(name), Start: true})
	if err := b.rig.wait(ctx, op, err); err != nil {
		return time.Time{}, err
	}
	var first firstByte
	e, err := c.Exec(ctx, name, api.ExecSpec{Argv: []string{"echo", "x"}}, client.ExecConfig{Stdout: &first})
	if err != nil {
		return time.Time{}, err
	}
	return first.at, ended(e, []string{"echo", "x"})
}

// forget deletes a running VM through the client.
func (b *bench) forget(ctx context.Context, name string) (time.Duration, error) {
	start := time.Now()
	op, err := b.rig.client.VMDelete(ctx, api.VMDeleteRequest{VM: name, Force: true})
	err = b.rig.wait(ctx, op, err)
	return time.Since(start), err
}

// life measures what a user waits for besides.
func life(ctx context.Context, b *bench) error {
	var create, start, stop, remove samples
	for range b.rounds(4) {
		for _, step := range []struct {
			into *samples
			args []string
		}{
			{&create, append([]string{"vm", "create", "-n", "life"}, b.kind.flags()...)},
			{&start, []string{"start", "life"}},
			{nil, nil},
			{&stop, []string{"stop", "life"}},
			{&remove, []string{"rm", "life"}},
		} {
			if step.into == nil {
				if _, err := b.rig.settle(ctx, "life"); err != nil {
					return err
				}
				continue
			}
			begin := time.Now()
			if _, err := b.rig.run(ctx, step.args...); err != nil {
				return err
			}
			step.into.add(time.Since(begin))
		}
	}
	b.add(
		row{"create", "banger vm create -n life", "ms", nil, create, 0},
		row{"start, until commands run", "banger start life", "ms", nil, start, 0},
		row{"stop, by the guest's systemd", "banger stop life", "ms", nil, stop, 0},
		row{"remove, stopped", "banger rm life", "ms", nil, remove, 0},
	)
	return nil
}
