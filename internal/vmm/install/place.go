package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// place puts the programs where they are found, each in the place of the one of
// its name at once; a VM that runs goes on with the one that it has. It may be
// done again after a crash at any instant.
func (w work) place(context.Context) error {
	version, err := w.readyVersion()
	if err != nil {
		return err
	}
	from, home := filepath.Join(w.dir(), ready, version), w.home(w.VMM)
	to := filepath.Join(home, version)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("making the directory of %s %s: %w", w.VMM, version, err)
	}
	if err := replaceAll(from, to); err != nil {
		return err
	}
	link := filepath.Join(w.dir(), current)
	if err := removeIfThere(link); err != nil {
		return err
	}
	if err := os.Symlink(version, link); err != nil {
		return err
	}
	if err := os.Rename(link, filepath.Join(home, current)); err != nil {
		return err
	}
	w.log.Info("VMM installed", "vmm", w.VMM, "version", version, "from", shown(w.From), "sha256", w.SHA256)
	return syncDir(home)
}

// replaceAll gives to the files of from, and no others. They stay in from, so
// that it can be done again.
func replaceAll(from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		half := filepath.Join(to, ".new-"+f.Name())
		if err := removeIfThere(half); err != nil {
			return err
		}
		if err := os.Link(filepath.Join(from, f.Name()), half); err != nil {
			return err
		}
		if err := os.Rename(half, filepath.Join(to, f.Name())); err != nil {
			return err
		}
	}
	all, err := os.ReadDir(to)
	if err != nil {
		return err
	}
	for _, f := range all { // a rename onto the very same file has left both names
		if slices.ContainsFunc(files, func(n fs.DirEntry) bool { return n.Name() == f.Name() }) {
			continue
		}
		if err := removeIfThere(filepath.Join(to, f.Name())); err != nil {
			return err
		}
	}
	return syncDir(to)
}

// tidy removes what is no longer used. A VM that runs starts its own VMM again
// when its guest reboots, so no version is removed while there is one.
func (w work) tidy(ctx context.Context) error {
	home := w.home(w.VMM)
	version, err := currentVersion(home)
	if err != nil {
		return fmt.Errorf("looking for the version in use: %w", err)
	}
	running, _, err := w.cfg.Users(ctx, w.VMM)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(home)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(home, e.Name())
		used := e.Name() == current || e.Name() == version || len(running) > 0
		if used && path != w.dir() {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// remove removes all that is installed of a VMM; from the first moment on
// nobody finds it.
func (r *Registry) remove(name string) error {
	if err := removeIfThere(filepath.Join(r.home(name), current)); err != nil {
		return err
	}
	if err := os.RemoveAll(r.home(name)); err != nil {
		return err
	}
	r.log.Info("VMM removed", "vmm", name)
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes renames in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
