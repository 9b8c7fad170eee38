package archive

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/api"
)

// afterEnd is how much may follow an archive's end: tar fills up its last record.
const afterEnd = 1 << 20

// Unpack unpacks an archive. What is no file, directory or link is told to
// skipped and left out. After an error, whole files stay, and no others.
func (p *Place) Unpack(ctx context.Context, r io.Reader, n *Count, skipped Skipper) (err error) {
	u := &unpacker{ctx: ctx, place: p, n: n, skipped: skipped, buf: make([]byte, chunk), tmp: tempPrefix()}
	if u.room, err = newRoom(p.root, p.rules); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.room.close()) }()
	u.dirs = []*dir{{root: p.root}}
	defer func() { err = errors.Join(err, u.leave(1)) }()
	r = bufio.NewReaderSize(r, 64<<10) // small files come several at once
	in := tar.NewReader(r)
	for entries := 0; ; entries++ {
		h, err := in.Next()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			if entries == 0 {
				return ErrEmpty
			}
			_, err := io.CopyN(io.Discard, r, afterEnd)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		case err != nil:
			return broken(err)
		case entries == maxEntries:
			return hostile("it holds more than %d files", maxEntries)
		}
		if err := u.entry(h, in); err != nil {
			return err
		}
	}
}

// ErrEmpty is an archive of nothing. Pack makes none.
var ErrEmpty error = refuse(api.KindInvalid, "See what was to make it.", "the archive is empty")

// ErrCut is an archive that ends in its middle.
var ErrCut = errors.New("the archive ends in its middle")

// broken is why an archive cannot be read on.
func broken(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrCut
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return hostile("it is no tar archive")
	}
	return err
}

func tempPrefix() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return ".banger-" + hex.EncodeToString(b[:]) + "-"
}

// unpacker is one archive under way.
type unpacker struct {
	ctx     context.Context
	place   *Place
	n       *Count
	skipped Skipper
	room    *room
	buf     []byte
	tmp     string // how the names of unfinished files begin

	top  *string // of a place that names the one source: the source's own name
	dirs []*dir  // that are open, each in the one before it; the first is the root
}

// entry unpacks one entry, whose content is r.
func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		u.skipped(api.FilesSkipped{Name: h.Name[:min(len(h.Name), maxPath)], Reason: kindOf(h.FileInfo().Mode())})
		return nil
	}
	if err := check(h, u.place.rules.Foreign); err != nil {
		return err
	}
	name, err := u.placed(h.Name, h.Typeflag == tar.TypeDir)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return u.makeDir(name, h)
	}
	if name == "" {
		return hostile("its top is no directory")
	}
	d, err := u.enter(path.Dir(name))
	if err != nil {
		return err
	}
	if err := u.room.file(); err != nil {
		return err
	}
	if err := u.replaceable(d, name); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		err = u.symlink(d, name, h)
	case tar.TypeLink:
		err = u.link(d, name, h)
	default:
		err = u.file(d, name, h, r)
	}
	if err == nil {
		u.n.Files.Add(1)
	}
	return u.explain(name, err)
}

// check refuses an entry of a kind that Pack does not make; of another
// program's archive, that nothing can be made of.
func check(h *tar.Header, foreign bool) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeLink, tar.TypeSymlink, tar.TypeDir:
	case tar.TypeGNUSparse:
		if foreign {
			return nil
		}
		fallthrough
	default:
		return hostile("it holds an entry of the kind %q", h.Typeflag)
	}
	for key := range h.PAXRecords {
		if !foreign && strings.HasPrefix(key, "GNU.") {
			return hostile("it holds a record %.40q", key)
		}
	}
	return nil
}

// explain says which file an error is about.
func (u *unpacker) explain(name string, err error) error {
	var e *api.Error
	if err == nil || errors.As(err, &e) || u.ctx.Err() != nil || errors.Is(err, ErrCut) || errors.Is(err, errRead) {
		return err
	}
	hint := ""
	switch {
	case errors.Is(err, fs.ErrPermission) && u.place.rules.Side == InGuest:
		hint = asAnother
	case errors.Is(err, fs.ErrPermission):
		hint = "Copy to another place."
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "Free some space there first."
	default:
		return fmt.Errorf("%s cannot be written %s: %s", name, u.place.rules.Side, reason(err))
	}
	return refuse(api.KindFailedPrecondition, hint, "%s cannot be written %s: %s", name, u.place.rules.Side, reason(err))
}
