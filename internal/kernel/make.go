package kernel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/kernel/vmlinux"
)

// recipe is the version of what this package makes of a kernel: another one
// gives every default kernel another ID.
const recipe = "banger-kernel-2\n"

// Places in the directory in which a kernel is made.
const (
	packageDir = "package" // as the source unpacked it
	wholeDir   = "kernel"
)

// make fetches and makes the default kernel. The caller holds the claim.
func (l *Library) make(ctx context.Context, report Report) (k Kernel, err error) {
	if err := os.MkdirAll(l.cfg.Dir, 0o755); err != nil {
		return Kernel{}, err
	}
	tmp, err := os.MkdirTemp(l.cfg.Dir, scratch)
	if err != nil {
		return Kernel{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	rec, err := l.build(ctx, l.source, tmp, report)
	if err != nil {
		return Kernel{}, err
	}
	rec.ID = rec.Digest[:idLength]
	return l.place(filepath.Join(tmp, wholeDir), rec)
}

// build makes all files of a kernel in tmp, which is empty: they lie in
// wholeDir then, without their record.
func (l *Library) build(ctx context.Context, src Source, tmp string, report Report) (record, error) {
	pkgDir, outDir := filepath.Join(tmp, packageDir), filepath.Join(tmp, wholeDir)
	for _, d := range []string{pkgDir, filepath.Join(outDir, modulesDir)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return record{}, err
		}
	}
	pkg, err := src.Fetch(ctx, pkgDir, report)
	if err != nil {
		return record{}, err
	}
	report("kernel: extracting", 0, 0)
	rec := record{Release: pkg.Release, Source: pkg.Source}
	if err := l.convert(ctx, pkg, pkgDir, outDir, &rec, report); err != nil {
		return record{}, fmt.Errorf("making a kernel of %s: %w", pkg.Source, err)
	}
	return rec, nil
}

// convert makes the files and fills in the record.
func (l *Library) convert(ctx context.Context, pkg Package, pkgDir, outDir string, rec *record, report Report) error {
	digest := sha256.New()
	if _, err := io.WriteString(digest, recipe+pkg.Release+"\n"); err != nil {
		return err
	}
	entry, err := extractFile(ctx, filepath.Join(pkgDir, pkg.Vmlinuz), filepath.Join(outDir, vmlinuxFile), digest)
	if err != nil {
		return err
	}
	tree := filepath.Join(pkgDir, "lib", "modules", pkg.Release)
	if err := plainModules(ctx, tree, pkg.Release, report); err != nil {
		return err
	}
	report("kernel: making the modules disk", 0, 0)
	if err := l.indexModules(ctx, pkgDir, pkg.Release); err != nil {
		return err
	}
	if err := pickModules(tree, filepath.Join(outDir, modulesDir), rec); err != nil {
		return err
	}
	if !entry {
		rec.Lacks = append(rec.Lacks, pvh)
	}
	size, err := measure(tree, digest)
	if err != nil {
		return err
	}
	rec.Digest = hex.EncodeToString(digest.Sum(nil))
	return l.makeDisk(ctx, tree, filepath.Join(outDir, diskFile), rec.Digest, size)
}

// place moves a whole kernel to where it is found.
func (l *Library) place(outDir string, rec record) (Kernel, error) {
	final := filepath.Join(l.cfg.Dir, rec.ID)
	if k, err := load(final); err == nil {
		return k, nil // the same content: nothing to replace under a running VM
	}
	if err := save(outDir, rec); err != nil {
		return Kernel{}, err
	}
	if err := os.RemoveAll(final); err != nil {
		return Kernel{}, err
	}
	if err := os.Rename(outDir, final); err != nil {
		return Kernel{}, err
	}
	return load(final)
}

// extractFile extracts the kernel in from into the file to and adds it to the
// digest. It says whether the kernel has a PVH entry.
func extractFile(ctx context.Context, from, to string, digest io.Writer) (entry bool, err error) {
	in, err := os.Open(from)
	if err != nil {
		return false, err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return false, err
	}
	out, err := os.Create(to)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := vmlinux.Extract(ctx, io.MultiWriter(out, digest), in, st.Size()); err != nil {
		return false, err
	}
	if st, err = out.Stat(); err != nil {
		return false, err
	}
	if err := vmlinux.Check(out, st.Size()); err != nil {
		return false, err
	}
	if entry, err = vmlinux.HasPVH(out); err != nil {
		return false, err
	}
	return entry, out.Sync()
}

// indexModules writes modules.dep and its kin: a package of Debian's has none,
// that is done when it is installed, and others name the modules as they were
// packed.
func (l *Library) indexModules(ctx context.Context, base, release string) error {
	_, err := l.run.Run(ctx, hostexec.Cmd{Name: "depmod", Args: []string{"-b", base, release}})
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return fault.New(fault.Precondition, "Install it with: sudo apt-get install kmod", "indexing the kernel's modules needs depmod: %w", err)
	}
	if err != nil {
		return fmt.Errorf("indexing the kernel's modules: %w", err)
	}
	return nil
}

// pickModules copies what the initramfs needs out of tree into dir, and notes
// the file names in the order of insertion and what the kernel lacks.
func pickModules(tree, dir string, rec *record) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer root.Close()
	table, err := readTable(root)
	if err != nil {
		return err
	}
	if rec.Lacks, err = table.lacks(); err != nil {
		return err
	}
	files, err := table.Closure(Wanted())
	if err != nil {
		return err
	}
	for i, file := range files {
		body, err := fs.ReadFile(root.FS(), file)
		if err != nil {
			return fmt.Errorf("reading the module %s: %w", file, err)
		}
		name := fmt.Sprintf("%03d-%s.ko", i, moduleName(file))
		if err := writeFile(filepath.Join(dir, name), body); err != nil {
			return err
		}
		rec.Modules = append(rec.Modules, name)
	}
	return nil
}

func readTable(root *os.Root) (*Modules, error) {
	dep, err := root.Open("modules.dep")
	if err != nil {
		return nil, err
	}
	defer dep.Close()
	builtin, err := root.Open("modules.builtin")
	if err != nil {
		return nil, err
	}
	defer builtin.Close()
	return ParseModules(dep, builtin)
}
