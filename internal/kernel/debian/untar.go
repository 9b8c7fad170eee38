package debian

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// Bounds on a kernel package; Debian's cloud kernel has 1,300 entries and 100 MB.
const (
	maxEntries = 50_000
	maxBytes   = 2 << 30
)

// untar writes the kernel and its modules from a package's tar into root, the
// modules under lib/modules/RELEASE, wherever the package has them.
func untar(r io.Reader, root *os.Root, release string) error {
	t := tar.NewReader(r)
	left := int64(maxBytes)
	for range maxEntries {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return whole(root, release)
		}
		if err != nil {
			return err
		}
		name, ok := wanted(h.Name, release)
		if !ok || h.Typeflag != tar.TypeReg { // directories are made as needed; links are not
			continue
		}
		if left -= h.Size; left < 0 {
			return errors.New("it is too large")
		}
		if err := writeEntry(root, name, t); err != nil {
			return err
		}
	}
	return errors.New("it has too many entries")
}

// wanted tells under which name an entry is kept.
func wanted(name, release string) (string, bool) {
	name = path.Clean("/" + name)[1:]
	name = strings.TrimPrefix(name, "usr/")
	modules := "lib/modules/" + release + "/"
	return name, name == "boot/vmlinuz-"+release || strings.HasPrefix(name, modules) && len(name) > len(modules)
}

func writeEntry(root *os.Root, name string, r io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// whole makes sure that kernel and modules were there.
func whole(root *os.Root, release string) error {
	for _, name := range []string{"boot/vmlinuz-" + release, "lib/modules/" + release + "/modules.builtin"} {
		if _, err := root.Stat(name); err != nil {
			return fmt.Errorf("it holds no %s", path.Base(name))
		}
	}
	return nil
}
