package kernel

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/internal/fault"
)

// Import makes a kernel of src, with the ID that it is given. One that is there
// stays as it is; what an earlier call left half-made is made again.
func (l *Library) Import(ctx context.Context, id string, src Source, report Report) (Kernel, error) {
	if !validID(id) {
		return Kernel{}, badID(id)
	}
	half := l.halfDir(id)
	if err := os.RemoveAll(half); err != nil {
		return Kernel{}, err
	}
	if k, err := load(l.dir(id)); err == nil {
		return k, nil
	}
	if err := os.MkdirAll(half, 0o755); err != nil {
		return Kernel{}, err
	}
	rec, err := l.build(ctx, src, half, report)
	if err != nil {
		return Kernel{}, err
	}
	rec.ID = id
	k, err := l.place(filepath.Join(half, wholeDir), rec)
	if err != nil {
		return Kernel{}, err
	}
	l.log.Info("kernel imported", "kernel", k.ID, "release", k.Release, "source", k.Source)
	return k, errors.Join(os.RemoveAll(half), syncDir(l.cfg.Dir))
}

// Hide takes a kernel, the default one or another, from where it is found. None
// is no error.
func (l *Library) Hide(id string) error {
	if !validID(id) {
		return badID(id)
	}
	link := filepath.Join(l.cfg.Dir, defaultLink)
	if to, err := os.Readlink(link); err == nil && to == id {
		if err := os.Remove(link); err != nil {
			return err
		}
	}
	gone := l.goneDir(id)
	err := os.RemoveAll(gone)
	if err == nil {
		err = os.Rename(l.dir(id), gone)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(l.cfg.Dir))
}

// Remove removes a kernel that was hidden, or that Import left half-made. One
// with this ID that is there by now stays.
func (l *Library) Remove(id string) error {
	if !validID(id) {
		return badID(id)
	}
	return errors.Join(os.RemoveAll(l.goneDir(id)), os.RemoveAll(l.halfDir(id)))
}

func (l *Library) dir(id string) string { return filepath.Join(l.cfg.Dir, id) }

// halfDir is where an import makes a kernel; unlike what is under scratch it
// belongs to an operation, which takes it back.
func (l *Library) halfDir(id string) string { return filepath.Join(l.cfg.Dir, ".import-"+id) }

// goneDir is where a kernel is while it is removed.
func (l *Library) goneDir(id string) string { return filepath.Join(l.cfg.Dir, ".deleting-"+id) }

func badID(id string) error { return fault.New(fault.Invalid, "", "%q is no kernel ID", id) }

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
