// Package local takes a kernel from files of this host: a vmlinuz (or vmlinux)
// and the directory of its modules. They are somebody's, and may be anything:
// nothing outside of the directory is read, and only so much.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/unfit"
	"github.com/banger-vm/banger/internal/kernel/vmlinux"
)

// Bounds on what is read; Debian's largest kernel has 4,500 modules, 400 MB.
const (
	maxEntries = 100_000
	maxBytes   = 4 << 30
)

// Source is a kernel.Source.
type Source struct {
	vmlinuz, modules string
	left             int64 // bytes that may still be copied
}

var _ kernel.Source = (*Source)(nil)

// New returns the source of one kernel; both paths are absolute.
func New(vmlinuz, modules string) *Source {
	return &Source{vmlinuz: vmlinuz, modules: modules, left: maxBytes}
}

// Fetch copies the kernel and its modules.
func (s *Source) Fetch(ctx context.Context, dir string, report kernel.Report) (kernel.Package, error) {
	in, size, err := kernel.OpenFile(s.vmlinuz)
	if err != nil {
		return kernel.Package{}, err
	}
	defer in.Close()
	release, err := vmlinux.Release(in, size)
	if err != nil {
		return kernel.Package{}, err
	}
	pkg := kernel.Package{Release: release, Vmlinuz: "vmlinuz", Source: s.vmlinuz}
	out, err := os.OpenRoot(dir)
	if err != nil {
		return kernel.Package{}, err
	}
	defer out.Close()
	if err := s.copy(ctx, out, pkg.Vmlinuz, in); err != nil {
		return kernel.Package{}, err
	}
	tree := filepath.Join("lib", "modules", release)
	if err := out.MkdirAll(tree, 0o755); err != nil {
		return kernel.Package{}, err
	}
	return pkg, s.copyTree(ctx, out, tree, release, report)
}

// lists are what a kernel's build says of its modules; all else in the directory
// is made of that.
var lists = []string{"modules.builtin", "modules.builtin.modinfo", "modules.order"}

// find opens the directory of the release's modules: the one that is given, or
// one in it, as /lib/modules and make's INSTALL_MOD_PATH have it.
func (s *Source) find(release string) (*os.Root, error) {
	given, err := kernel.OpenDir(s.modules)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{".", release, filepath.Join("lib", "modules", release)} {
		if _, err := given.Stat(filepath.Join(sub, lists[0])); err != nil {
			continue
		}
		if sub == "." {
			return given, nil
		}
		tree, err := given.OpenRoot(sub)
		return tree, errors.Join(err, given.Close())
	}
	return nil, errors.Join(unfit.New("%s is no directory of modules of the kernel %s: it has no %s", s.modules, release, lists[0]), given.Close())
}

func (s *Source) copyTree(ctx context.Context, out *os.Root, to, release string, report kernel.Report) error {
	tree, err := s.find(release)
	if err != nil {
		return err
	}
	defer tree.Close()
	files, total, err := wanted(tree)
	if err != nil {
		return err
	}
	left := s.left
	for _, file := range files {
		report("kernel: copying the modules", left-s.left, max(total, left-s.left))
		in, err := open(tree, file)
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		if in == nil {
			continue
		}
		err = s.copy(ctx, out, filepath.Join(to, file), in)
		if err := errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	return nil
}

// wanted are the names of modules and lists in the tree, and their bytes in all.
// Links to directories are not followed: build and source lead to what a kernel
// is built with.
func wanted(tree *os.Root) (files []string, total int64, err error) {
	for _, list := range lists {
		if _, err := tree.Stat(list); err == nil {
			files = append(files, list)
		}
	}
	entries := 0
	err = fs.WalkDir(tree.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		if entries++; entries > maxEntries {
			return unfit.New("the directory of modules has more than %d entries", maxEntries)
		}
		if d != nil && d.IsDir() && (file == "build" || file == "source") {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		if _, ok := kernel.ModulePacking(d.Name()); !ok {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files, total = append(files, file), total+info.Size()
		return nil
	})
	return files, total, err
}

// open opens a regular file of the tree; nil for what is none, or a link that
// leads out.
func open(tree *os.Root, file string) (*os.File, error) {
	info, err := tree.Lstat(file)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if info, err = tree.Stat(file); err != nil {
			return nil, nil
		}
	}
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	return tree.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// copy copies a file, as long as there is room for it in what may be copied.
func (s *Source) copy(ctx context.Context, out *os.Root, name string, in io.Reader) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := out.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	to, err := out.Create(name)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, io.LimitReader(in, s.left+1))
	if s.left -= n; err == nil && s.left < 0 {
		err = unfit.New("the kernel and its modules take more than %d GiB", maxBytes>>30)
	}
	return errors.Join(err, to.Close())
}
