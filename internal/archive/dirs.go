package archive

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/banger-vm/banger/api"
)

// dir is a directory that is open.
type dir struct {
	name string // its path from the root, "" for that
	root *os.Root
	// What it gets when it is left, as filling it changes its times, and it may
	// not be written to then: set for one that was made here.
	made  bool
	mode  fs.FileMode
	mtime time.Time // zero: as it is
}

// enter opens the directory of that path from the root, and makes what of it
// is not there. Archives go from one directory to the next, so most of it is
// open already.
func (u *unpacker) enter(name string) (*dir, error) {
	if name == "." {
		name = ""
	}
	keep := 1
	for keep < len(u.dirs) && below(name, u.dirs[keep].name) {
		keep++
	}
	if err := u.leave(keep); err != nil {
		return nil, err
	}
	d := u.dirs[len(u.dirs)-1]
	rest := strings.TrimPrefix(strings.TrimPrefix(name, d.name), "/")
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" {
			break
		}
		next, err := u.open(d, part)
		if err != nil {
			return nil, u.explain(path.Join(d.name, part), err)
		}
		u.dirs = append(u.dirs, next)
		d = next
	}
	return d, nil
}

func below(name, of string) bool {
	return name == of || strings.HasPrefix(name, of) && name[len(of)] == '/'
}

// open opens a directory in another one, or makes it. It follows no link.
func (u *unpacker) open(in *dir, part string) (*dir, error) {
	d := &dir{name: path.Join(in.name, part)}
	info, err := in.root.Lstat(part)
	if errors.Is(err, fs.ErrNotExist) {
		if err := u.room.file(); err != nil {
			return nil, err
		}
		if err := in.root.Mkdir(part, 0o700); err != nil {
			return nil, err
		}
		d.made, d.mode = true, 0o755
		info, err = in.root.Lstat(part)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, refuse(api.KindFailedPrecondition, "Remove it first.", "%s is %s %s, and a directory in what is copied", d.name, what(info.Mode()), u.place.rules.Side)
	}
	if d.root, err = in.root.OpenRoot(part); err != nil {
		return nil, err
	}
	if opened, err := d.root.Stat("."); err != nil || !os.SameFile(info, opened) {
		return nil, errors.Join(err, d.root.Close(), refuse(api.KindFailedPrecondition, "", "%s was replaced while it was copied to", d.name))
	}
	return d, nil
}

func what(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	}
	return "no file"
}

// leave closes the open directories but the first n.
func (u *unpacker) leave(n int) error {
	var errs error
	for len(u.dirs) > n {
		last := len(u.dirs) - 1
		d := u.dirs[last]
		u.dirs = u.dirs[:last]
		if err := d.finish(); err != nil && errs == nil {
			errs = u.explain(d.name, err)
		}
	}
	return errs
}

// finish gives a directory that was made here its times and its mode.
func (d *dir) finish() error {
	defer d.root.Close() // it was only read by this
	if !d.made {
		return nil
	}
	if !d.mtime.IsZero() {
		if err := d.root.Chtimes(".", d.mtime, d.mtime); err != nil {
			return err
		}
	}
	return d.root.Chmod(".", d.mode)
}

// makeDir makes a directory; one that was there stays as it is, but for what is
// put into it.
func (u *unpacker) makeDir(name string, h *tar.Header) error {
	d, err := u.enter(name)
	if err == nil && d.made {
		d.mode, d.mtime = u.mode(h), h.ModTime
	}
	return err
}

// mode is that of an entry.
func (u *unpacker) mode(h *tar.Header) fs.FileMode {
	mode := h.FileInfo().Mode()
	keep := fs.ModePerm | fs.ModeSticky
	if u.place.rules.Setuid {
		keep |= fs.ModeSetuid | fs.ModeSetgid
	}
	return mode & keep
}
