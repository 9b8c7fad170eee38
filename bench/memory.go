package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/vmm/firecracker"
	"github.com/banger-vm/banger/internal/vmm/qemu"
)

// idle is how long a VM is left alone before its memory is measured: what the
// last measurements left behind goes away.
const idle = 5 * time.Second

// memory measures what banger's processes take while a VM idles.
func memory(ctx context.Context, b *bench) error {
	d, err := b.rig.client.DaemonStatus(ctx)
	if err != nil {
		return err
	}
	theirs, err := b.floorMemory(ctx)
	if err != nil {
		return err
	}
	ours, err := b.idleMemory(ctx, b.vm)
	if err != nil {
		return err
	}
	daemon, err := rssMB(d.PID)
	if err != nil {
		return err
	}
	b.add(
		row{"resident memory: bangerd, idle after other measurements", "", "MB", nil, samples{daemon}, 40},
		row{"memory of a monitor, its VM idle after other measurements, its share of the program (PSS)", "", "MB", nil, samples{ours.share}, 15},
		row{"the same with the whole program, which all monitors share (resident)", "", "MB", nil, samples{ours.monitor}, 0},
		row{"resident memory: " + b.facts.driver + " with that idle guest (512 MB)", "", "MB", samples{theirs.vmm}, samples{ours.vmm}, 0},
		row{"what that guest itself uses: MemTotal − MemAvailable", "cat /proc/meminfo", "MB", samples{theirs.guest}, samples{ours.guest}, 0},
	)
	if b.facts.driver == firecracker.DriverName {
		return b.memoryOnQEMU(ctx)
	}
	return nil
}

// memoryOnQEMU measures the same of a VM on QEMU that has just come up.
func (b *bench) memoryOnQEMU(ctx context.Context) error {
	const name = "other"
	k := kind{vmm: qemu.DriverName, network: b.kind.network}
	if _, err := b.rig.run(ctx, append([]string{"vm", "create", "-n", name}, k.flags()...)...); err != nil {
		return err
	}
	if _, err := b.rig.run(ctx, "start", name); err != nil {
		return err
	}
	v, err := b.rig.settle(ctx, name)
	if err != nil {
		return err
	}
	m, err := b.idleMemory(ctx, name)
	if err != nil {
		return err
	}
	on := fmt.Sprintf(" (QEMU %s, %s)", v.Boot.VMMVersion, v.Boot.Accel)
	b.add(
		row{"memory of the monitor of a new VM, idle, its share of the program (PSS)" + on, "", "MB", nil, samples{m.share}, 15},
		row{"the same with the whole program, which all monitors share (resident)" + on, "", "MB", nil, samples{m.monitor}, 0},
		row{"resident memory: QEMU with that idle guest (512 MB)" + on, "", "MB", nil, samples{m.vmm}, 0},
		row{"what that guest itself uses" + on, "cat /proc/meminfo", "MB", nil, samples{m.guest}, 0},
	)
	return b.forget(ctx, name)
}

// usage is resident memory in MB, the monitor's share of it where others have
// the same pages, and the guest's own view.
type usage struct{ vmm, monitor, share, guest float64 }

func (b *bench) idleMemory(ctx context.Context, name string) (u usage, err error) {
	v, err := b.rig.client.VMInspect(ctx, name)
	if err != nil {
		return u, err
	}
	said, err := b.rig.exec(ctx, name, "cat", "/proc/meminfo")
	if err != nil {
		return u, err
	}
	if u.guest, err = usedMB(said); err != nil {
		return u, err
	}
	if err := rest(ctx); err != nil {
		return u, err
	}
	if u.vmm, err = rssMB(v.Boot.VMMPID); err != nil {
		return u, err
	}
	if u.monitor, err = rssMB(v.Boot.MonitorPID); err != nil {
		return u, err
	}
	u.share, err = memoryMB(fmt.Sprintf("/proc/%d/smaps_rollup", v.Boot.MonitorPID), "Pss:")
	return u, err
}

func (b *bench) floorMemory(ctx context.Context) (u usage, err error) {
	vm, err := b.floor.boot(ctx)
	if err != nil {
		return u, err
	}
	said, err := vm.run("cat /proc/meminfo")
	if err == nil {
		u.guest, err = usedMB(said)
	}
	if err == nil {
		err = rest(ctx)
	}
	if err == nil {
		u.vmm, err = rssMB(vm.cmd.Process.Pid)
	}
	if e := vm.end(); err == nil {
		err = e
	}
	return u, err
}

func rest(ctx context.Context) error {
	select {
	case <-time.After(idle):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// usedMB is what a guest cannot give away, by its /proc/meminfo.
func usedMB(meminfo string) (float64, error) {
	kb := map[string]float64{}
	for line := range strings.Lines(meminfo) {
		var n float64
		name, value, _ := strings.Cut(line, ":")
		if _, err := fmt.Sscan(value, &n); err == nil {
			kb[name] = n
		}
	}
	if kb["MemTotal"] == 0 || kb["MemAvailable"] == 0 {
		return 0, fmt.Errorf("the guest's meminfo is not understood: %q", meminfo)
	}
	return (kb["MemTotal"] - kb["MemAvailable"]) / 1024, nil
}
