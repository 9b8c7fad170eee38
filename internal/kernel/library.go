// Package kernel gives VMs their kernel: a vmlinux, an initramfs with the
// current guest program and the modules it needs first, and a disk with all
// modules. Images hold none of these, so any image runs on any kernel.
//
// A kernel is <state>/kernels/<id>/{vmlinux,modules.ext4,modules/,kernel.json}
// and never changes; the ID of the default one is the digest of what it was made
// from. Beside it lie its initramfs files, one for each guest program in use.
//
// Where a kernel comes from is a child's business (debian, local); names and who
// uses them are those of registry.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

// Kernel is a kernel that is there. Paths are absolute.
type Kernel struct {
	ID          string
	Release     string // uname -r
	Source      string // where it came from, for people
	Vmlinux     string // ELF
	ModulesDisk string // ext4: the content of /lib/modules/<Release>
	Modules     []string
	Lacks       []string // of Noted
	SizeBytes   int64    // of its files, but for initramfs files
}

// Report publishes progress; total 0 is unknown. It never blocks.
type Report func(phase string, done, total int64)

// Package is a kernel as a Source unpacked it: Dir holds the file Vmlinuz and
// the directory lib/modules/Release.
type Package struct {
	Release string
	Vmlinuz string // relative to Dir
	Source  string
}

// Source gives a kernel; one that no guest can use is unfit. Modules may be
// packed, and need no index.
type Source interface {
	// Fetch unpacks the kernel into dir, which is empty.
	Fetch(ctx context.Context, dir string, report Report) (Package, error)
}

// Config is the place of a Library.
type Config struct {
	Dir string // holds one directory per kernel
}

// Library holds the kernels of a state directory.
type Library struct {
	cfg    Config
	source Source
	run    hostexec.Runner
	log    *slog.Logger
	making chan struct{} // holds a token while a kernel or initramfs is made

	mu      sync.Mutex // guards digests
	digests map[fileKey]string
}

const (
	defaultLink = "default"
	scratch     = ".making-"
)

// New returns the library in cfg.Dir.
func New(cfg Config, source Source, run hostexec.Runner, log *slog.Logger) *Library {
	return &Library{
		cfg: cfg, source: source, run: run, log: log,
		making: make(chan struct{}, 1), digests: map[fileKey]string{},
	}
}

// Ensure returns the default kernel, making it first where there is none. A
// call that was broken off leaves nothing.
func (l *Library) Ensure(ctx context.Context, report Report) (Kernel, error) {
	if k, err := l.Default(); err == nil {
		return k, nil
	}
	release, err := l.claim(ctx)
	if err != nil {
		return Kernel{}, err
	}
	defer release()
	// Another caller may have made it while we waited. A damaged one is made anew.
	k, err := l.Default()
	if err == nil {
		return k, nil
	}
	if fault.KindOf(err) != fault.NotFound {
		l.log.Warn("the default kernel is made again", "reason", err)
	}
	if k, err = l.make(ctx, report); err != nil {
		return Kernel{}, err
	}
	l.log.Info("kernel made", "kernel", k.ID, "release", k.Release, "source", k.Source)
	return k, l.setDefault(k.ID)
}

// Get returns the kernel with this ID.
func (l *Library) Get(id string) (Kernel, error) {
	if !validID(id) {
		return Kernel{}, badID(id)
	}
	k, err := load(l.dir(id))
	if errors.Is(err, fs.ErrNotExist) {
		return Kernel{}, fault.New(fault.NotFound, "See which there are with: banger kernel ls", "there is no kernel %s", id)
	}
	return k, err
}

// claim waits until nothing else is being made, and removes what a crash left
// half-made.
func (l *Library) claim(ctx context.Context) (release func(), err error) {
	select {
	case l.making <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	release = func() { <-l.making }
	if err := l.sweep(); err != nil {
		release()
		return nil, fmt.Errorf("removing a half-made kernel: %w", err)
	}
	return release, nil
}

// Default returns the default kernel; fault.NotFound until it was made.
func (l *Library) Default() (Kernel, error) {
	id, err := os.Readlink(filepath.Join(l.cfg.Dir, defaultLink))
	if errors.Is(err, fs.ErrNotExist) {
		return Kernel{}, fault.New(fault.NotFound, "", "there is no default kernel")
	}
	if err != nil {
		return Kernel{}, err
	}
	return l.Get(id)
}

func (l *Library) setDefault(id string) error {
	tmp := filepath.Join(l.cfg.Dir, scratch+defaultLink)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(id, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(l.cfg.Dir, defaultLink))
}

func (l *Library) sweep() error {
	left, err := filepath.Glob(filepath.Join(l.cfg.Dir, scratch+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}
