// Package payload makes the disk that brings files into the test host: a raw
// ext4 of a fixed size.
package payload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/hostexec"
)

// Entry is a file or a tree that the host shall find under a name.
type Entry struct {
	Name   string // relative to the payload's root
	Source string
	Link   string // instead of a source: what a symbolic link holds
}

// Make makes the disk out, of size bytes; scratch is a directory to work in.
func Make(ctx context.Context, run hostexec.Runner, scratch, out string, size int64, entries []Entry) (err error) {
	tree, err := os.MkdirTemp(scratch, "payload-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tree)) }()
	if err := os.Chmod(tree, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		if !filepath.IsLocal(e.Name) {
			return fmt.Errorf("%q is no name inside the payload", e.Name)
		}
		if err := e.stage(filepath.Join(tree, e.Name)); err != nil {
			return fmt.Errorf("bringing %s along: %w", e.Name, err)
		}
	}
	_, err = run.Run(ctx, hostexec.Cmd{Name: "mke2fs", Args: []string{
		"-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-N", "32768", "-L", "payload",
		"-O", "^has_journal,^resize_inode", "-E", "assume_storage_prezeroed=1,root_owner=0:0,nodiscard",
		"-d", tree, out, fmt.Sprintf("%dk", size/1024),
	}})
	if err != nil {
		return fmt.Errorf("making the payload disk: %w", err)
	}
	return nil
}

// stage puts the entry to a place in the tree.
func (e Entry) stage(to string) error {
	if e.Link != "" {
		return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Symlink(e.Link, to))
	}
	source, err := filepath.EvalSymlinks(e.Source)
	if err != nil {
		return err
	}
	return stage(source, to)
}

// stage puts from, with all below it, to a place in the tree.
func stage(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		at := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(at, 0o755)
		case d.Type() == fs.ModeSymlink:
			return copyLink(path, at)
		case d.Type().IsRegular():
			return place(path, at)
		}
		return nil // sockets and the like
	})
}

func copyLink(from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	return os.Symlink(target, to)
}

// place links a file where everyone may read it and it lies on the same file
// system, and copies it otherwise: in the host each user may read all.
func place(from, to string) error {
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o004 != 0 && os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = copyData(out, in, st.Size())
	return errors.Join(err, out.Chmod(st.Mode().Perm()|0o444), out.Close())
}

// copyData copies what is no hole.
func copyData(out, in *os.File, size int64) error {
	if err := out.Truncate(size); err != nil {
		return err
	}
	for off := int64(0); off < size; {
		start, err := unix.Seek(int(in.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(in.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, start), io.NewSectionReader(in, start, end-start)); err != nil {
			return err
		}
		off = end
	}
	return nil
}
