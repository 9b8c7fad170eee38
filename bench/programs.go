package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
	"github.com/banger-vm/banger/internal/vmm"
)

// many is how many VMs a long list has.
const many = 1000

// commandLine measures banger as a process.
func commandLine(ctx context.Context, b *bench) (err error) {
	r, err := newRig(b.rig.bin, filepath.Join(b.dir, "many"), b.rig.places.CacheDir)
	if err != nil {
		return err
	}
	if err := fill(ctx, r.places.StateDir); err != nil {
		return fmt.Errorf("filling the store: %w", err)
	}
	defer func() { err = errors.Join(err, r.close()) }()
	start := time.Now()
	out, err := r.run(ctx, "ls", "-a", "-q")
	began := time.Since(start)
	if err != nil {
		return err
	}
	if n := strings.Count(out, "\n"); n != many {
		return fmt.Errorf("banger ls -a -q shows %d VMs instead of %d", n, many)
	}
	var version, ls, running samples
	for _, c := range []struct {
		into *samples
		args []string
	}{{&version, []string{"--version"}}, {&ls, []string{"ls", "-a"}}, {&running, []string{"ls"}}} {
		for range b.rounds(40) + 1 {
			start := time.Now()
			if _, err := r.run(ctx, c.args...); err != nil {
				return err
			}
			c.into.add(time.Since(start))
		}
		*c.into = (*c.into)[1:] // the first one finds the program on the disk
	}
	b.add(
		row{"the program itself", "banger --version", "ms", nil, version, 15},
		row{"all of 1,000 stopped VMs", "banger ls -a", "ms", nil, ls, 30},
		row{"those that run, of 1,000 VMs", "banger ls", "ms", nil, running, 30},
		row{"the first command, which starts the daemon", "banger ls -a -q, 1,000 VMs", "ms", nil, samples{float64(began.Microseconds()) / 1000}, 0},
	)
	return nil
}

// fill stores VMs as if they had been made, before the daemon runs.
func fill(ctx context.Context, state string) (err error) {
	if err := os.MkdirAll(filepath.Join(state, "vms"), 0o700); err != nil {
		return err
	}
	db, err := store.Open(ctx, filepath.Join(state, "banger.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for i := range many {
		id := fmt.Sprintf("%012x", 0xbe0000000000+i)
		if err := os.Mkdir(filepath.Join(state, "vms", id), 0o700); err != nil {
			return err
		}
		err := db.InsertVM(ctx, vm.Record{
			ID: id, Made: true, User: "dev", CreatedAt: time.Now(), MachineID: fmt.Sprintf("%032x", i+1),
			ImageID: "0123456789ab", KernelID: "0123456789abcdef",
			Spec: spec.VM{
				Name: fmt.Sprintf("vm%04d", i), Image: "debian", CPUs: 1, MemoryBytes: 512 << 20, DiskBytes: 16 << 30,
				DiskDriver: "guestcow", Network: "user", VMM: "qemu", Accel: vmm.AccelAuto,
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
