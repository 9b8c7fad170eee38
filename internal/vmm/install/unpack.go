package install

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of a release; Firecracker's has 30 entries, the largest of a few MiB.
const (
	maxEntries = 1000
	maxProgram = 128 << 20
)

// unpack takes the programs out of what was fetched: a release archive, or the
// VMM's program itself.
func (w work) unpack(ctx context.Context) error {
	root, err := os.OpenRoot(w.dir())
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.RemoveAll(unpacked); err != nil { // of an attempt that a crash ended
		return err
	}
	if err := root.Mkdir(unpacked, 0o755); err != nil {
		return err
	}
	f, err := root.Open(given)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(&reader{ctx: ctx, from: f})
	magic, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		err = w.untar(in, root)
	case string(magic) == "\x7fELF":
		err = keep(root, w.product.Programs[0], in)
	default:
		err = errors.New("it is neither a release archive (.tgz) nor a program")
	}
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	var host *fs.PathError
	if errors.As(err, &host) { // ours, not the archive's
		return fmt.Errorf("unpacking %s: %w", w.VMM, err)
	}
	return w.wrong("%w", err)
}

// untar keeps the programs of an archive. One that holds anything but plain
// files and directories below it is no release.
func (w work) untar(in io.Reader, root *os.Root) error {
	z, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("the archive is damaged: %w", err)
	}
	bound := &io.LimitedReader{R: z, N: w.cfg.MaxUnpacked + 1}
	err = w.entries(tar.NewReader(bound), root)
	if bound.N <= 0 {
		return fmt.Errorf("the archive unpacks to more than %d MiB", w.cfg.MaxUnpacked>>20)
	}
	return err
}

func (w work) entries(t *tar.Reader, root *os.Root) error {
	other := "" // the architecture of a release that is not for us
	for range maxEntries {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return w.whole(root, other)
		}
		if err != nil {
			return fmt.Errorf("the archive is damaged: %w", err)
		}
		if err := plain(h); err != nil {
			return err
		}
		program, arch := w.programOf(h)
		switch {
		case program == "":
			continue
		case arch != hostArch():
			other = arch
			continue
		}
		if err := keep(root, program, t); err != nil {
			return err
		}
	}
	return fmt.Errorf("the archive has more than %d entries", maxEntries)
}

// plain refuses an entry that a release does not have.
func plain(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeXGlobalHeader:
	default:
		return fmt.Errorf("the archive holds %q, which is neither a file nor a directory", h.Name)
	}
	name := strings.TrimSuffix(h.Name, "/")
	if !filepath.IsLocal(name) || slices.Contains(strings.Split(name, "/"), "..") {
		return fmt.Errorf("the archive holds %q, which leads out of it", h.Name)
	}
	return nil
}

// programOf reads an entry's name: release-vVERSION-ARCH/PROGRAM-vVERSION-ARCH.
func (w work) programOf(h *tar.Header) (program, arch string) {
	if h.Typeflag != tar.TypeReg {
		return "", ""
	}
	dir, file := path.Split(path.Clean(h.Name))
	release, ok := strings.CutPrefix(dir, "release-v")
	if !ok {
		return "", ""
	}
	release = strings.TrimSuffix(release, "/")
	_, arch, ok = cutLast(release, "-")
	if !ok {
		return "", ""
	}
	for _, p := range w.product.Programs {
		if file == p+"-v"+release {
			return p, arch
		}
	}
	return "", ""
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// whole wants the VMM's program among what was kept.
func (w work) whole(root *os.Root, other string) error {
	main := w.product.Programs[0]
	_, err := root.Stat(path.Join(unpacked, main))
	switch {
	case errors.Is(err, fs.ErrNotExist) && other != "":
		return fmt.Errorf("it is a release for %s, and this host is %s", other, hostArch())
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the archive holds no release-vVERSION-%s/%s-vVERSION-%s", hostArch(), main, hostArch())
	}
	return err
}

// keep writes a program, which must not be there twice.
func keep(root *os.Root, program string, from io.Reader) (err error) {
	f, err := root.OpenFile(path.Join(unpacked, program), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the archive holds %s twice", program)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, io.LimitReader(from, maxProgram+1))
	switch {
	case err != nil:
		return err
	case n > maxProgram:
		return fmt.Errorf("its %s is larger than %d MiB", program, maxProgram>>20)
	}
	if err := f.Chmod(0o755); err != nil { // whatever the umask
		return err
	}
	return f.Sync()
}
