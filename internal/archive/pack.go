package archive

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
)

// Source is what is to be packed.
type Source struct {
	path string
	top  string // its name in the archive
}

// Sources checks what is to be packed. Of a path that is a symbolic link, and
// ends in no slash, the link itself is taken, unless follow.
func Sources(paths []string, side Side, follow bool) ([]Source, error) {
	if len(paths) == 0 {
		return nil, refuse(api.KindInvalid, "Name a file or a directory.", "there is nothing to copy")
	}
	var all []Source
	seen := map[string]bool{}
	for _, p := range paths {
		s := Source{path: p, top: Top(p)}
		if p == "" {
			s.path = "."
		}
		_, err := os.Lstat(s.path)
		if err == nil && follow {
			s.path, err = filepath.EvalSymlinks(s.path)
		}
		if err != nil {
			return nil, unreachable(s.path, side, err)
		}
		if seen[s.top] {
			return nil, refuse(api.KindInvalid, "Copy them one after the other, each to a name of its own.", "two of the sources are named %q", s.top)
		}
		seen[s.top] = true
		all = append(all, s)
	}
	return all, nil
}

// unreachable says why a path that was named cannot be used.
func unreachable(name string, side Side, err error) *api.Error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse(api.KindNotFound, "Check the path.", "there is no %s %s", name, side)
	case errors.Is(err, fs.ErrPermission):
		hint := ""
		if side == InGuest {
			hint = asAnother
		}
		return refuse(api.KindFailedPrecondition, hint, "%s cannot be reached %s: permission denied", name, side)
	}
	return refuse(api.KindFailedPrecondition, "", "%s cannot be used %s: %s", name, side, reason(err))
}

// Pack writes an archive of the sources to w. What cannot be packed is told to
// skipped and left out; an error is w's, or ctx's.
func Pack(ctx context.Context, w io.Writer, sources []Source, n *Count, skipped Skipper) error {
	out := bufio.NewWriterSize(w, 64<<10) // small files go several at once
	p := &packer{ctx: ctx, tar: tar.NewWriter(out), n: n, skipped: skipped, linked: map[inode]string{}, buf: make([]byte, chunk)}
	for _, s := range sources {
		if err := p.add(s.path, s.top); err != nil {
			return err
		}
	}
	if !p.some {
		return refuse(api.KindFailedPrecondition, "Only files, directories and links that you may read are copied.", "there is nothing to copy")
	}
	return errors.Join(p.tar.Close(), out.Flush())
}

type packer struct {
	ctx     context.Context
	tar     *tar.Writer
	n       *Count
	skipped Skipper
	linked  map[inode]string // the first name of what has several
	some    bool             // an entry was written
	buf     []byte
}

type inode struct{ dev, ino uint64 }

func (p *packer) head(h *tar.Header) error {
	p.some = true
	return p.tar.WriteHeader(h)
}

// skip leaves a file out.
func (p *packer) skip(name, why string) error {
	p.skipped(api.FilesSkipped{Name: name, Reason: why})
	return nil
}

// add packs what is at a path under a name.
func (p *packer) add(at, name string) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if len(name) > maxPath || strings.Count(name, "/") >= maxDepth {
		return p.skip(name, "its name is too long")
	}
	info, err := os.Lstat(at)
	if err != nil {
		return p.skip(name, reason(err))
	}
	st := info.Sys().(*syscall.Stat_t) // always, on Linux
	h := &tar.Header{Name: name, Mode: int64(st.Mode & 0o7777), ModTime: time.Unix(st.Mtim.Unix()), Format: tar.FormatPAX}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return p.dir(at, h)
	case 0:
		return p.file(at, h)
	case fs.ModeSymlink:
		if h.Linkname, err = os.Readlink(at); err != nil {
			return p.skip(name, reason(err))
		}
		h.Typeflag = tar.TypeSymlink
		p.n.Files.Add(1)
		return p.head(h)
	}
	return p.skip(name, kindOf(info.Mode()))
}

func kindOf(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeSocket:
		return "it is a socket"
	case fs.ModeNamedPipe:
		return "it is a pipe"
	}
	return "it is a device"
}

// dir packs a directory, and then what is in it, some names at a time.
func (p *packer) dir(at string, h *tar.Header) error {
	d, err := os.OpenFile(at, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return p.skip(h.Name, reason(err))
	}
	defer d.Close()
	name := h.Name
	h.Typeflag, h.Name = tar.TypeDir, name+"/"
	if err := p.head(h); err != nil {
		return err
	}
	for {
		names, err := d.Readdirnames(1000)
		for _, each := range names {
			if err := p.add(filepath.Join(at, each), path.Join(name, each)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return p.skip(name, reason(err))
		}
	}
}

// file packs a regular file, or that it is another name of one.
func (p *packer) file(at string, h *tar.Header) error {
	// What became a pipe a moment ago must not keep us waiting.
	f, err := os.OpenFile(at, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return p.skip(h.Name, reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return p.skip(h.Name, reason(err))
	}
	if !info.Mode().IsRegular() {
		return p.skip(h.Name, "it was replaced while it was copied")
	}
	st := info.Sys().(*syscall.Stat_t)
	id := inode{uint64(st.Dev), st.Ino}
	if first, ok := p.linked[id]; ok {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		p.n.Files.Add(1)
		return p.head(h)
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	all, holes, err := layout(f, st.Blocks, h)
	if err != nil {
		return p.skip(h.Name, reason(err))
	}
	if st.Nlink > 1 {
		p.linked[id] = h.Name
	}
	if err := p.head(h); err != nil {
		return err
	}
	if _, err := p.tar.Write(holes); err != nil {
		return err
	}
	return p.data(f, h.Name, all)
}

// layout finds the parts of a file, and makes its header that of a sparse one
// where they leave something out; then its content begins with their map.
// blocks is what the file takes, each of 512 bytes.
func layout(f *os.File, blocks int64, h *tar.Header) (all []part, encoded []byte, err error) {
	size := h.Size
	if blocks*512 >= size {
		return []part{{0, size}}, nil, nil
	}
	if all, err = parts(f, size); err != nil || len(all) == 1 && all[0].n == size {
		return all, nil, err
	}
	encoded = encodeMap(all, size)
	h.PAXRecords = map[string]string{Sparse: strconv.FormatInt(size, 10)}
	h.Size = int64(len(encoded))
	for _, each := range all {
		h.Size += each.n
	}
	return all, encoded, nil
}

// data packs the parts of a file. One that is cut short under us goes on in
// zeros, as its size is told already.
func (p *packer) data(f *os.File, name string, all []part) error {
	short := ""
	for _, each := range all {
		for at, end := each.at, each.at+each.n; at < end; {
			if err := p.ctx.Err(); err != nil {
				return err
			}
			buf := p.buf[:min(int64(len(p.buf)), end-at)]
			n, err := f.ReadAt(buf, at)
			if n < len(buf) && short == "" {
				short = "it became shorter while it was read"
				if err != nil && !errors.Is(err, io.EOF) {
					short = fmt.Sprintf("reading it failed at byte %d: %s", at+int64(n), reason(err))
				}
			}
			clear(buf[n:])
			if _, err := p.tar.Write(buf); err != nil {
				return err
			}
			at += int64(len(buf))
			p.n.Bytes.Add(int64(len(buf)))
		}
	}
	p.n.Files.Add(1)
	if short != "" {
		return p.skip(name, short)
	}
	return nil
}
