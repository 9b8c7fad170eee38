package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/places"
)

// rig is a daemon of the benchmark's own, with a state directory of its own.
type rig struct {
	bin    string // of the programs under test
	places places.Places
	env    []string
	client *client.Client
}

// newRig lays a rig out below dir; its daemon starts with the first command. env
// is its own besides.
func newRig(bin, dir, cache string, env ...string) (*rig, error) {
	p, err := places.Resolve(places.Flags{
		StateDir: filepath.Join(dir, "state"), RuntimeDir: filepath.Join(dir, "run"),
	}, places.Env{UID: os.Geteuid(), Getenv: func(name string) string {
		if name == places.EnvCacheDir {
			return cache
		}
		if strings.HasPrefix(name, "BANGER_") {
			return ""
		}
		return os.Getenv(name)
	}})
	if err != nil {
		return nil, err
	}
	r := &rig{bin: bin, places: p, client: client.New(client.Config{Socket: p.Socket})}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "BANGER_") {
			r.env = append(r.env, v)
		}
	}
	r.env = append(
		r.env, "NO_COLOR=1",
		places.EnvStateDir+"="+p.StateDir, places.EnvRuntimeDir+"="+p.RuntimeDir, places.EnvCacheDir+"="+p.CacheDir,
	)
	r.env = append(r.env, env...)
	return r, nil
}

// run runs banger and returns its standard output.
func (r *rig) run(ctx context.Context, args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := r.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("banger %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.String(), nil
}

func (r *rig) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin, "banger"), args...)
	cmd.Env = r.env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// wait waits for an operation that was begun.
func (r *rig) wait(ctx context.Context, op api.Operation, err error) error {
	if err != nil {
		return err
	}
	_, err = r.client.WaitOperation(ctx, op.ID, nil)
	return err
}

// exec runs a command through the client and returns its standard output.
func (r *rig) exec(ctx context.Context, vm string, argv ...string) (string, error) {
	var out bytes.Buffer
	e, err := r.client.Exec(ctx, vm, api.ExecSpec{Argv: argv}, client.ExecConfig{Stdout: &out})
	if err != nil {
		return "", err
	}
	err = ended(e, argv) // all output has come then
	return out.String(), err
}

func ended(e *client.Exec, argv []string) error {
	exit, err := e.Wait()
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("%q ended with %d: %s", argv, exit.Code, exit.Error)
	}
	return err
}

// program is that of a VMM.
func (r *rig) program(ctx context.Context, name string) (string, error) {
	list, err := r.client.VMMList(ctx, api.VMMListRequest{})
	if err != nil {
		return "", err
	}
	for _, v := range list {
		if v.Name == name && v.Path != "" {
			return v.Path, nil
		}
	}
	return "", fmt.Errorf("where %s is is not known", name)
}

// settle waits until the guest's init has finished starting, and rests: what a user
// meets in a VM that runs, and no noise of the boot.
func (r *rig) settle(ctx context.Context, vm string) (api.VM, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		v, err := r.client.VMInspect(ctx, vm)
		if err != nil {
			return v, err
		}
		if v.Boot != nil && v.Boot.Timings.SystemReadyMS > 0 {
			return v, awaitRest(ctx, v.Boot.VMMPID)
		}
		select {
		case <-ctx.Done():
			return v, fmt.Errorf("the system of %s did not become ready: %w", vm, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// close removes all VMs and ends the daemon.
func (r *rig) close() error {
	if _, err := os.Stat(r.places.Socket); errors.Is(err, os.ErrNotExist) {
		return r.client.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	vms, err := r.client.VMList(ctx, api.VMListRequest{All: true})
	for _, v := range vms {
		if v.Boot == nil { // never started: its state goes with the directory
			continue
		}
		op, e := r.client.VMDelete(ctx, api.VMDeleteRequest{VM: v.ID, Force: true})
		err = errors.Join(err, r.wait(ctx, op, e))
	}
	err = errors.Join(err, r.client.Close())
	_, stopped := r.run(ctx, "daemon", "stop")
	return errors.Join(err, stopped)
}

// rssMB is the resident memory of a process.
func rssMB(pid int) (float64, error) {
	return memoryMB(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
}

// memoryMB is a field of a file of /proc that counts kB.
func memoryMB(path, field string) (float64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, field)
}
