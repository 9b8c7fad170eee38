package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
)

// cold measures from nothing but an image to the first byte that a command in
// a new VM writes: disks, VMM, kernel, init, exec. Then how a running VM goes,
// with all that it had.
func cold(ctx context.Context, b *bench) error {
	var floor, process, through coming
	var theirs, parts bootParts
	for range 7 { // one boot says little where machines are noisy
		err := b.floorCold(ctx, &floor, &theirs)
		if err == nil {
			err = b.bangerRun(ctx, &process)
		}
		if err == nil {
			err = b.clientCold(ctx, &through, &parts)
		}
		if err != nil {
			return err
		}
	}
	run := strings.Join(b.runArgs("new"), " ")
	b.add(
		row{"cold create → first output, whole process", "banger " + run, "ms", floor.first, process.first, b.limits.cold},
		row{"cold create → first output, client", "create and start, and exec echo x in it", "ms", floor.first, through.first, b.limits.cold},
	)
	if b.facts.driver == firecracker.DriverName { // elsewhere nothing tells when the floor's guest listens
		b.add(partRows(theirs, parts)...)
	}
	b.add(
		row{"delete that running VM, client", "vm.delete by force", "ms", floor.gone, through.gone, b.limits.remove},
		row{"– of it: until its VMM has ended", "", "ms", floor.ended, through.ended, 0},
		row{"– of it: all else, after that", "", "ms", floor.beyond, through.beyond, 0},
		row{"delete as a whole process, against the client", "banger rm -f new", "ms", through.gone, process.gone, 0},
	)
	return nil
}

// coming is the times from nothing to the first output, and from a running VM
// to the end of its VMM, to nothing, and what lies between these two.
type coming struct{ first, ended, gone, beyond samples }

// bootParts says where the time of a cold boot goes.
type bootParts struct{ disk, spawn, guest, agent samples }

// note takes the parts of a VM's own account.
func (p *bootParts) note(t api.Timings) {
	guest := t.KernelMS + t.InitMS
	for _, s := range []struct {
		into *samples
		ms   float64
	}{{&p.disk, t.DiskMS}, {&p.spawn, t.SpawnMS}, {&p.guest, guest}, {&p.agent, t.AgentReadyMS - t.SpawnMS - guest}} {
		*s.into = append(*s.into, s.ms)
	}
}

// noteFloor takes those of a floor's guest, whose own clock says when its
// kernel began.
func (p *bootParts) noteFloor(vm *floorVM) error {
	said, err := vm.run("cat /proc/uptime")
	if err != nil {
		return err
	}
	var up float64
	if _, err := fmt.Sscan(said, &up); err != nil {
		return fmt.Errorf("the floor's guest is up for %q: %w", said, err)
	}
	began := time.Now().Add(-time.Duration(up * float64(time.Second)))
	p.disk.add(vm.disks)
	p.spawn.add(began.Sub(vm.started))
	p.guest.add(vm.reached.Sub(began))
	return nil
}

func partRows(floor, banger bootParts) []row {
	return []row{
		{"– of it: making the disks", "", "ms", floor.disk, banger.disk, 0},
		{"– of it: starting the VMM, until its vCPUs run", "", "ms", floor.spawn, banger.spawn, 0},
		{"– of it: kernel and init, until the guest listens", "", "ms", floor.guest, banger.guest, 0},
		{"– of it: from there until it has its identity and runs commands", "", "ms", nil, banger.agent, 0},
	}
}

func (b *bench) floorCold(ctx context.Context, into *coming, parts *bootParts) error {
	start := time.Now()
	vm, err := b.floor.boot(ctx)
	if err != nil {
		return err
	}
	out, err := vm.run("echo x")
	into.first.add(time.Since(start))
	if err == nil && out != "x\n" {
		err = fmt.Errorf("the floor's guest said %q", out)
	}
	if err == nil {
		err = parts.noteFloor(vm)
	}
	if err != nil {
		return errors.Join(err, vm.end())
	}
	return into.goes(vm.cmd.Process.Pid, vm.end)
}

func (b *bench) runArgs(name string) []string {
	return append(append([]string{"run", "-n", name}, b.kind.flags()...), "debian", "--", "echo", "x")
}

func (b *bench) bangerRun(ctx context.Context, into *coming) error {
	start := time.Now()
	cmd := b.rig.command(ctx, b.runArgs("new")...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	said := make([]byte, 2)
	_, err = io.ReadFull(out, said)
	into.first.add(time.Since(start))
	err = errors.Join(err, cmd.Wait())
	if err != nil || string(said) != "x\n" {
		return fmt.Errorf("banger run said %q: %w: %s", said, err, errs.Bytes())
	}
	start = time.Now()
	_, err = b.rig.run(ctx, "rm", "-f", "new")
	into.gone.add(time.Since(start))
	return err
}

// firstByte notes when the first byte comes.
type firstByte struct{ at time.Time }

func (f *firstByte) Write(p []byte) (int, error) {
	if f.at.IsZero() {
		f.at = time.Now()
	}
	return len(p), nil
}

func (b *bench) clientCold(ctx context.Context, into *coming, parts *bootParts) error {
	c := b.rig.client
	start := time.Now()
	op, err := c.VMCreateBegin(ctx, api.VMCreateRequest{Spec: b.kind.spec("cold"), Start: true})
	if err != nil {
		return err
	}
	var first firstByte
	id := strings.TrimPrefix(op.Target, "vm/")
	e, err := c.Exec(ctx, id, api.ExecSpec{Argv: []string{"echo", "x"}}, client.ExecConfig{Stdout: &first, Await: true})
	if err == nil {
		err = ended(e, []string{"echo", "x"})
	}
	if err := errors.Join(err, b.rig.wait(ctx, op, nil)); err != nil {
		return err
	}
	into.first.add(first.at.Sub(start))
	v, err := c.VMInspect(ctx, "cold")
	if err != nil {
		return err
	}
	parts.note(v.Boot.Timings)
	return into.goes(v.Boot.VMMPID, func() error { return b.forget(ctx, "cold") })
}

// forget deletes a running VM through the client.
func (b *bench) forget(ctx context.Context, name string) error {
	op, err := b.rig.client.VMDelete(ctx, api.VMDeleteRequest{VM: name, Force: true})
	return b.rig.wait(ctx, op, err)
}

// goes measures how a running VM goes, and when its VMM ends meanwhile.
func (c *coming) goes(pid int, remove func() error) error {
	id, err := hostexec.Identify(pid)
	if err != nil {
		return err
	}
	vmm, err := hostexec.Open(id)
	if err != nil {
		return err
	}
	defer vmm.Close()
	start := time.Now()
	ended := make(chan time.Duration, 1)
	go func() {
		<-vmm.Done()
		ended <- time.Since(start)
	}()
	if err := remove(); err != nil {
		return err // and the VMM perhaps lives
	}
	gone, vmmEnded := time.Since(start), <-ended
	c.gone.add(gone)
	c.ended.add(vmmEnded)
	c.beyond.add(max(0, gone-vmmEnded))
	return nil
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
