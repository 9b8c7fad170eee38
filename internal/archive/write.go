package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/api"
)

// errRead is the end of what an archive is read from.
var errRead = errors.New("the archive cannot be read on")

// replaceable refuses to put anything in the place of what is no file or link.
func (u *unpacker) replaceable(d *dir, name string) error {
	if d.made { // there is nothing else in it; a directory cannot be replaced
		return nil
	}
	info, err := d.root.Lstat(path.Base(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return u.explain(name, err)
	}
	if t := info.Mode().Type(); t != 0 && t != fs.ModeSymlink {
		return refuse(api.KindFailedPrecondition, "Remove it first.", "%s is %s %s, and a file in what is copied", name, what(info.Mode()), u.place.rules.Side)
	}
	return nil
}

// temp is a name for what is not finished; there is one at a time.
func (u *unpacker) temp() string {
	return u.tmp + strconv.FormatInt(u.n.Files.Load(), 36)
}

// file writes a file under another name until it is whole. It takes the place
// of a file or link that was there.
func (u *unpacker) file(d *dir, name string, h *tar.Header, r io.Reader) (err error) {
	size, all := h.Size, []part{{0, h.Size}}
	if text, ok := h.PAXRecords[Sparse]; ok {
		if size, err = strconv.ParseInt(text, 10, 64); err != nil {
			return hostile("a file of %.40q bytes", text)
		}
		if all, err = decodeMap(r, size, h.Size); err != nil {
			return err
		}
	}
	tmp := u.temp()
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close() // once more is no harm
			err = errors.Join(err, d.root.Remove(tmp))
		}
	}()
	for _, each := range all {
		if err := u.fill(f, each, r); err != nil {
			return err
		}
	}
	if len(all) == 0 || all[len(all)-1].at+all[len(all)-1].n < size {
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	if err := errors.Join(f.Chmod(u.mode(h)), f.Close()); err != nil {
		return err
	}
	if err := d.root.Chtimes(tmp, h.ModTime, h.ModTime); err != nil {
		return err
	}
	return d.root.Rename(tmp, path.Base(name))
}

// fill writes one part of a file.
func (u *unpacker) fill(f *os.File, p part, r io.Reader) error {
	for at, end := p.at, p.at+p.n; at < end; {
		buf := u.buf[:min(int64(len(u.buf)), end-at)]
		n, err := io.ReadAtLeast(r, buf, 1)
		if u.ctx.Err() != nil {
			return u.ctx.Err()
		}
		if err != nil {
			if err = broken(err); !errors.Is(err, ErrCut) {
				err = fmt.Errorf("%w: %w", errRead, err)
			}
			return err
		}
		if err := u.room.take(int64(n)); err != nil {
			return err
		}
		if _, err := f.WriteAt(buf[:n], at); err != nil {
			return err
		}
		at += int64(n)
		u.n.Bytes.Add(int64(n))
	}
	return nil
}

// symlink makes a link, to wherever it points.
func (u *unpacker) symlink(d *dir, name string, h *tar.Header) error {
	if h.Linkname == "" || len(h.Linkname) > maxPath || strings.IndexByte(h.Linkname, 0) >= 0 {
		return hostile("the link %.200q points to an impossible name", name)
	}
	tmp := u.temp()
	if err := d.root.Symlink(h.Linkname, tmp); err != nil {
		return err
	}
	err := d.date(tmp, h)
	if err == nil {
		err = d.root.Rename(tmp, path.Base(name))
	}
	if err != nil {
		err = errors.Join(err, d.root.Remove(tmp))
	}
	return err
}

// date sets the times of a link itself.
func (d *dir) date(name string, h *tar.Header) error {
	at, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer at.Close()
	t, err := unix.TimeToTimespec(h.ModTime)
	if err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(int(at.Fd()), name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}

// link makes another name of a file of this copy.
func (u *unpacker) link(d *dir, name string, h *tar.Header) error {
	target, err := u.placed(h.Linkname, false)
	if err != nil {
		return err
	}
	if err := u.real(target); err != nil {
		return err
	}
	// In the root, as no directory below it is in the way of both names.
	tmp := path.Join(d.name, u.temp())
	if err := u.place.root.Link(target, tmp); err != nil {
		return err
	}
	// Of two names of one file, a rename leaves both.
	defer func() { _ = u.place.root.Remove(tmp) }() // mostly gone
	return u.place.root.Rename(tmp, name)
}

// real refuses what is no file, or is one behind a link.
func (u *unpacker) real(name string) error {
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		info, err := u.place.root.Lstat(name[:i])
		if err != nil {
			return hostile("a file that is linked to, %.200q, is not there", name)
		}
		if i < len(name) && !info.IsDir() || i == len(name) && !info.Mode().IsRegular() {
			return hostile("what is linked to, %.200q, is no file", name)
		}
	}
	return nil
}
