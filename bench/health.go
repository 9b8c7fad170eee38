package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
	"github.com/banger-vm/banger/internal/vmm/qemu"
)

// health measures a call of the agent that does nothing, against a line that the floor's guest sends back.
func health(ctx context.Context, b *bench) (err error) {
	line, err := b.floor.boot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.end()) }()
	m, agent, err := b.ownMachine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.Close(), m.Kill(context.WithoutCancel(ctx)), m.Close()) }()
	var echo, hello, health samples
	err = inTurns(b.rounds(500),
		turn{&echo, func() error { return line.ping([]byte("are you there?\n")) }},
		turn{&hello, func() error { return second(agent.Hello(ctx)) }},
	)
	if err != nil {
		return err
	}
	if err := inTurns(b.rounds(100), turn{&health, func() error { return second(agent.Health(ctx)) }}); err != nil {
		return err
	}
	b.add(
		row{"a call of the agent that does nothing", "GET /v1/hello", "ms", echo, hello, b.limits.hello},
		row{"the guest's health: load, memory, free space", "GET /v1/health", "ms", nil, health, 0},
	)
	return nil
}

// ownMachine boots a guest as the VM's monitor does, and waits until its
// system is ready and rests; so its agent is ours to call.
func (b *bench) ownMachine(ctx context.Context) (_ vmm.Machine, _ *guest.Client, err error) {
	vm, err := b.rig.client.VMInspect(ctx, b.vm)
	if err != nil {
		return nil, nil, err
	}
	data, err := os.ReadFile(filepath.Join(vm.Dir, control.LaunchFile))
	if err != nil {
		return nil, nil, err
	}
	var launch machine.Launch
	if err := json.Unmarshal(data, &launch); err != nil {
		return nil, nil, err
	}
	if err := b.ownDisks(ctx, &launch.Spec); err != nil {
		return nil, nil, fmt.Errorf("making the disks: %w", err)
	}
	log := slog.New(slog.DiscardHandler)
	m, err := b.driver(log).Start(ctx, launch.Spec)
	if err != nil {
		return nil, nil, err
	}
	agent := guest.New(func(ctx context.Context) (io.ReadWriteCloser, error) { return m.Agent(ctx) }, log, guest.Config{})
	id := launch.Identity
	id.Time, id.Entropy = time.Now(), make([]byte, 64)
	rand.Read(id.Entropy)
	err = awaitSystem(ctx, agent, id)
	if err == nil {
		err = awaitRest(ctx, m.Facts().PID)
	}
	if err != nil {
		return nil, nil, errors.Join(err, agent.Close(), m.Kill(context.WithoutCancel(ctx)), m.Close())
	}
	return m, agent, nil
}

// driver drives the VMM that is measured.
func (b *bench) driver(log *slog.Logger) vmm.Driver {
	cache := filepath.Join(b.rig.places.CacheDir, "probe")
	if b.facts.driver == firecracker.DriverName {
		return firecracker.New(hostexec.Host{}, log, firecracker.Config{
			Binary: b.facts.program, CacheDir: cache,
			Stage: []string{filepath.Join(b.rig.bin, "bangerd"), firecracker.StageArg},
		})
	}
	return qemu.New(hostexec.Host{}, log, qemu.Config{Binary: b.facts.program, CacheDir: cache})
}

// ownDisks gives the machine a directory and disks of its own.
func (b *bench) ownDisks(ctx context.Context, spec *vmm.Spec) error {
	theirs := spec.Dir
	spec.Name, spec.Dir = "agent", filepath.Join(b.dir, "agent")
	if err := os.Mkdir(spec.Dir, 0o700); err != nil {
		return err
	}
	for i, d := range spec.Drives {
		switch {
		case d.Slot == disk.SlotLayer:
			spec.Drives[i].Path = layerFile
		case d.Slot == disk.SlotWork:
			spec.Drives[i].Path = homeFile
		case !filepath.IsAbs(d.Path):
			spec.Drives[i].Path = filepath.Join(theirs, d.Path)
		}
	}
	return b.floor.makeDisks(ctx, spec.Dir)
}

// awaitSystem gives the guest its identity and waits until its init has
// finished starting.
func awaitSystem(ctx context.Context, agent *guest.Client, id wire.Identity) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if _, err := agent.SetIdentity(ctx, id); err != nil {
		return err
	}
	ready := errors.New("ready")
	for {
		err := agent.Watch(ctx, func(h wire.Hello) error {
			if h.Phase == wire.PhaseSystem {
				return ready
			}
			return nil
		})
		if errors.Is(err, ready) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for the guest's system: %w", err)
		}
	}
}
