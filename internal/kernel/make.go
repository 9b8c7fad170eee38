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
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

// recipe is the version of what this package makes of a kernel: another one
// gives every kernel another ID.
const recipe = "banger-kernel-1\n"

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
	pkgDir, outDir := filepath.Join(tmp, "package"), filepath.Join(tmp, "kernel")
	for _, d := range []string{pkgDir, filepath.Join(outDir, modulesDir)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return Kernel{}, err
		}
	}
	pkg, err := l.source.Fetch(ctx, pkgDir, report)
	if err != nil {
		return Kernel{}, err
	}
	report("kernel: extracting", 0, 0)
	rec := record{Release: pkg.Release, Source: pkg.Source}
	if rec.ID, err = l.convert(ctx, pkg, pkgDir, outDir, &rec); err != nil {
		return Kernel{}, fmt.Errorf("making a kernel of %s: %w", pkg.Source, err)
	}
	return l.place(outDir, rec)
}

// convert makes all files of the kernel and returns its ID.
func (l *Library) convert(ctx context.Context, pkg Package, pkgDir, outDir string, rec *record) (string, error) {
	digest := sha256.New()
	if _, err := io.WriteString(digest, recipe+pkg.Release+"\n"); err != nil {
		return "", err
	}
	if err := extractFile(filepath.Join(pkgDir, pkg.Vmlinuz), filepath.Join(outDir, vmlinuxFile), digest); err != nil {
		return "", err
	}
	if err := l.indexModules(ctx, pkgDir, pkg.Release); err != nil {
		return "", err
	}
	tree := filepath.Join(pkgDir, "lib", "modules", pkg.Release)
	var err error
	if rec.Modules, err = pickModules(tree, filepath.Join(outDir, modulesDir)); err != nil {
		return "", err
	}
	size, err := measure(tree, digest)
	if err != nil {
		return "", err
	}
	id := hex.EncodeToString(digest.Sum(nil))
	return id[:idLength], l.makeDisk(ctx, tree, filepath.Join(outDir, diskFile), id, size)
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
// digest.
func extractFile(from, to string, digest io.Writer) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := Extract(io.MultiWriter(out, digest), in, st.Size()); err != nil {
		return err
	}
	if st, err = out.Stat(); err != nil {
		return err
	}
	if err := CheckELF(out, st.Size()); err != nil {
		return err
	}
	return out.Sync()
}

// indexModules writes modules.dep and its kin where the package has none:
// Debian's does that when it is installed.
func (l *Library) indexModules(ctx context.Context, base, release string) error {
	if _, err := os.Stat(filepath.Join(base, "lib", "modules", release, "modules.dep.bin")); err == nil {
		return nil
	}
	_, err := l.run.Run(ctx, hostexec.Cmd{Name: "depmod", Args: []string{"-b", base, release}})
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return fault.New(fault.Precondition, "Install it with: sudo apt-get install kmod", "indexing the kernel's modules needs depmod: %w", err)
	}
	if err != nil {
		return fmt.Errorf("indexing the kernel's modules: %w", err)
	}
	return nil
}

// pickModules copies what the initramfs needs out of tree into dir and
// returns the file names in the order of insertion.
func pickModules(tree, dir string) ([]string, error) {
	dep, err := os.Open(filepath.Join(tree, "modules.dep"))
	if err != nil {
		return nil, err
	}
	defer dep.Close()
	builtin, err := os.Open(filepath.Join(tree, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	defer builtin.Close()
	table, err := ParseModules(dep, builtin)
	if err != nil {
		return nil, err
	}
	files, err := table.Closure(Wanted())
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var names []string
	for i, file := range files {
		body, err := fs.ReadFile(root.FS(), file)
		if err != nil {
			return nil, fmt.Errorf("reading the module %s: %w", file, err)
		}
		base := filepath.Base(file)
		_, suffix, _ := strings.Cut(base, ".ko") // a packed module stays packed: the guest's kernel unpacks it
		name := fmt.Sprintf("%03d-%s.ko%s", i, moduleName(base), suffix)
		if err := writeFile(filepath.Join(dir, name), body); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}
