package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/kernel"
	kerneldebian "github.com/banger-vm/banger/internal/kernel/debian"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/test/host/cachedir"
	"github.com/banger-vm/banger/test/host/debian"
	"github.com/banger-vm/banger/test/host/machine"
	"github.com/banger-vm/banger/test/host/payload"
)

// rig has what all commands need.
type rig struct {
	source string // the repository
	bin    string // where banger's programs are
	cache  string // banger's
	dir    string // in it, for the test host
	run    hostexec.Runner
	log    *slog.Logger
	maker  *debian.Maker
	lab    *machine.Lab
}

// place is what flags say of where things are.
type place struct {
	source, bin string
	fresh       bool
	processors  int
}

func (p *place) flags(f *flag.FlagSet) {
	f.StringVar(&p.source, "source", "", "the repository (default: that of the working directory)")
	f.StringVar(&p.bin, "bin", "", "banger's programs (default: the repository's build/bin)")
	f.IntVar(&p.processors, "cpus", 1, "processors of the host; with more than one, QEMU before 8.1 loses some hosts (docs/adr/0009)")
	f.BoolVar(&p.fresh, "fresh", false, "boot the host instead of restoring the saved one")
}

// newRig makes the host's image and kernel where they are missing.
func newRig(ctx context.Context, o place) (*rig, error) {
	p, err := places.Resolve(places.Flags{}, places.SystemEnv())
	if err != nil {
		return nil, err
	}
	r := &rig{cache: p.CacheDir, dir: filepath.Join(p.CacheDir, "test-host"), run: hostexec.Host{}, log: newLog(os.Stderr)}
	if r.source = o.source; r.source == "" {
		if r.source, err = r.output(ctx, "go", "list", "-m", "-f", "{{.Dir}}"); err != nil {
			return nil, err
		}
	}
	if r.bin = o.bin; r.bin == "" {
		r.bin = filepath.Join(r.source, "build/bin")
	}
	r.maker = debian.New(debian.Config{CacheDir: p.CacheDir, Dir: r.dir, Source: r.source}, r.run, r.log)
	base, err := r.maker.Ensure(ctx)
	if err != nil {
		return nil, fmt.Errorf("making the host: %w", err)
	}
	r.lab = machine.NewLab(machine.Config{Dir: r.dir, Fresh: o.fresh, Processors: o.processors}, base, r.run, r.log)
	return r, nil
}

func newLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// output is the standard output of a command, without the newline at its end.
func (r *rig) output(ctx context.Context, name string, args ...string) (string, error) {
	res, err := r.run.Run(ctx, hostexec.Cmd{Name: name, Args: args, Dir: r.source, Stderr: os.Stderr})
	return strings.TrimSpace(string(res.Stdout)), err
}

// makePayload makes a payload disk.
func (r *rig) makePayload(ctx context.Context, entries []payload.Entry) (disk string, discard func() error, err error) {
	scratch, discard, err := cachedir.Make(filepath.Join(r.dir, "payloads"))
	if err != nil {
		return "", nil, err
	}
	disk = filepath.Join(scratch, "payload.img")
	if err := payload.Make(ctx, r.run, scratch, disk, machine.PayloadBytes, entries); err != nil {
		return "", nil, errors.Join(err, discard())
	}
	return disk, discard, nil
}

// withMachine makes the payload, starts a host with it and ends it after do.
func (r *rig) withMachine(ctx context.Context, entries []payload.Entry, do func(m *machine.Machine) error) (err error) {
	disk, discard, err := r.makePayload(ctx, entries)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, discard()) }()
	return r.withDisk(ctx, disk, do)
}

// withDisk starts a host with a payload that is made, and ends it after do.
func (r *rig) withDisk(ctx context.Context, disk string, do func(m *machine.Machine) error) (err error) {
	m, err := r.lab.Start(ctx, disk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	return do(m)
}

// belongings is what every host gets, as far as it is there: banger's
// programs, a guest kernel, Firecracker, and the images of banger's cache.
func (r *rig) belongings(ctx context.Context) ([]payload.Entry, error) {
	lists, err := r.maker.Lists(ctx)
	if err != nil {
		return nil, err
	}
	entries := []payload.Entry{{Name: "apt", Source: lists}}
	if _, err := os.Stat(filepath.Join(r.bin, "banger-guest")); err == nil {
		entries = append(entries, payload.Entry{Name: "bin", Source: r.bin})
		lab, err := r.guestKernel(ctx)
		if err != nil {
			return nil, err
		}
		entries = append(entries, lab...)
	} else {
		r.log.Info(r.bin + " is empty: make build brings banger's programs and a guest kernel into the host")
	}
	for _, name := range []string{"scripts/install", "packaging"} {
		entries = append(entries, payload.Entry{Name: name, Source: filepath.Join(r.source, name)})
	}
	for _, name := range []string{"images", "kernels"} {
		if dir := filepath.Join(r.cache, name); exists(dir) {
			entries = append(entries, payload.Entry{Name: "cache/" + name, Source: dir})
		}
	}
	image, err := newest(filepath.Join(r.cache, "images", "*", "entry.json"))
	if err != nil {
		return nil, err
	}
	if image != "" {
		entries = append(entries, payload.Entry{Name: "seed/image", Source: filepath.Dir(image)})
	}
	firecracker, err := r.output(ctx, filepath.Join(r.source, "scripts/firecracker"))
	if err != nil {
		r.log.Warn("the host gets no Firecracker", "reason", err)
		return entries, nil
	}
	for _, name := range []string{"firecracker", "jailer"} {
		if path := filepath.Join(firecracker, name); exists(path) {
			entries = append(entries, payload.Entry{Name: "firecracker/" + name, Source: path})
		}
	}
	return entries, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// guestKernel makes the kernel that test/lab makes, with the current agent.
func (r *rig) guestKernel(ctx context.Context) ([]payload.Entry, error) {
	source := kerneldebian.New(kerneldebian.Config{CacheDir: r.cache}, r.run)
	library := kernel.New(kernel.Config{Dir: filepath.Join(r.source, "build/lab")}, source, r.run, r.log)
	k, err := library.Ensure(ctx, func(string, int64, int64) {})
	if err != nil {
		return nil, err
	}
	initramfs, err := library.Initramfs(ctx, k, filepath.Join(r.bin, "banger-guest"))
	if err != nil {
		return nil, err
	}
	entries := []payload.Entry{
		{Name: "lab/vmlinux", Source: k.Vmlinux},
		{Name: "lab/modules.ext4", Source: k.ModulesDisk},
		{Name: "lab/initramfs", Source: initramfs},
	}
	// The same again, as a state directory has it.
	dir := filepath.Dir(k.Vmlinux)
	for _, name := range []string{"vmlinux", "modules.ext4", "modules", "kernel.json", filepath.Base(initramfs)} {
		entries = append(entries, payload.Entry{Name: filepath.Join("seed/kernels", k.ID, name), Source: filepath.Join(dir, name)})
	}
	return append(entries, payload.Entry{Name: "seed/kernels/default", Link: k.ID}), nil
}

// newest is the youngest of the files that match a pattern; "" if there is none.
func newest(pattern string) (string, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	var best string
	var at time.Time
	for _, file := range files {
		if st, err := os.Stat(file); err == nil && st.ModTime().After(at) {
			best, at = file, st.ModTime()
		}
	}
	return best, nil
}
