package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/banger-vm/banger/internal/kernel/unfit"
	"github.com/banger-vm/banger/internal/kernel/unpack"
)

// Bounds on the modules of a kernel; Debian's largest has 400 MB in 4,500.
const (
	maxModuleBytes = 512 << 20
	maxTreeBytes   = 4 << 30
)

// errTreeTooBig tells what makes modules that large.
var errTreeTooBig = unfit.New("the modules take more than %d GiB; debugging symbols are what makes them large (make INSTALL_MOD_STRIP=1 modules_install leaves them out)", maxTreeBytes>>30)

// ModulePacking returns how the file name of a module ends after ".ko": "" for
// a plain one, ".xz", ".zst" or ".gz". Other files are no modules.
func ModulePacking(name string) (suffix string, ok bool) {
	for _, suffix := range []string{"", ".xz", ".zst", ".gz"} {
		if base, ok := strings.CutSuffix(name, ".ko"+suffix); ok && base != "" {
			return suffix, true
		}
	}
	return "", false
}

// plainModules unpacks the packed modules in tree, where they lie, so that a
// guest needs nothing to do so, and makes sure that all are of the release.
func plainModules(ctx context.Context, tree, release string, report Report) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	files, total, err := moduleFiles(root)
	if err != nil {
		return err
	}
	left := int64(maxTreeBytes)
	var done int64
	for _, file := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		report("kernel: unpacking the modules", done, total)
		if left, err = plainModule(root, file.name, release, left); err != nil {
			return fmt.Errorf("the module %s: %w", file.name, err)
		}
		done += file.size
	}
	return nil
}

type moduleFile struct {
	name string
	size int64
}

// moduleFiles are the modules of a tree by name, and their bytes in all.
func moduleFiles(root *os.Root) (files []moduleFile, total int64, err error) {
	err = fs.WalkDir(root.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		if _, ok := ModulePacking(path.Base(file)); err != nil || !ok || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files, total = append(files, moduleFile{file, info.Size()}), total+info.Size()
		return nil
	})
	return files, total, err
}

// plainModule unpacks one module and returns how many bytes of left are left.
func plainModule(root *os.Root, file, release string, left int64) (int64, error) {
	suffix, _ := ModulePacking(file)
	plain := strings.TrimSuffix(file, suffix)
	if suffix != "" {
		if err := unpackModule(root, file, plain, min(left, maxModuleBytes)); err != nil {
			return 0, err
		}
	}
	f, err := root.Open(plain)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if left -= info.Size(); left < 0 {
		return 0, errTreeTooBig
	}
	return left, checkModule(f, release)
}

func unpackModule(root *os.Root, file, plain string, limit int64) (err error) {
	from, err := root.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	in, err := unpack.Open(from, limit)
	if err != nil {
		return unfit.New("it cannot be unpacked: %w", err)
	}
	defer in.Close()
	to, err := root.OpenFile(plain, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return unfit.New("it is there twice, packed and not")
	}
	if err != nil {
		return err
	}
	out := &unpack.Writer{To: to}
	_, err = io.Copy(out, in)
	switch {
	case out.Err != nil:
		err = out.Err
	case errors.Is(err, unpack.ErrTooLarge) && limit < maxModuleBytes:
		err = errTreeTooBig
	case err != nil:
		err = unfit.New("it cannot be unpacked: %w", err)
	}
	return errors.Join(err, to.Close(), root.Remove(file))
}
