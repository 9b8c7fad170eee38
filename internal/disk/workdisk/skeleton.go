package workdisk

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
)

// maxEntries bounds a skeleton: an image is not to be trusted.
const maxEntries = 10_000

// skeleton is what a home begins with.
type skeleton struct {
	bytes   int64             // of its blocks
	entries int64             // an inode each
	foreign []string          // paths of those that belong to somebody else
	print   [sha256.Size]byte // of all that mke2fs takes over
}

// readSkeleton looks through a skeleton. It may hold directories, files and
// symbolic links only.
func readSkeleton(dir string, uid, gid int) (s skeleton, err error) {
	print := sha256.New()
	defer func() { print.Sum(s.print[:0]) }()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if t := info.Mode().Type(); t != 0 && t != fs.ModeDir && t != fs.ModeSymlink {
			return fault.New(fault.Invalid, "Make the image again without it.",
				"%q in the image's /etc/skel is neither a file, a directory nor a link", d.Name())
		}
		if s.entries++; s.entries > maxEntries {
			return fault.New(fault.Invalid, "", "the image's /etc/skel has more than %d files", maxEntries)
		}
		s.bytes += (info.Size()+4095)/4096*4096 + 4096 // data, and a block of the map or the directory
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("the owner of %s is not known", path)
		}
		fmt.Fprintf(print, "%q %o %d %d %d %v\n", name, st.Mode, st.Uid, st.Gid, st.Size, st.Mtim)
		if err := addContent(print, path, info.Mode().Type()); err != nil {
			return err
		}
		if int(st.Uid) == uid && int(st.Gid) == gid {
			return nil
		}
		if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '"' || r == 0x7f }) {
			return fault.New(fault.Invalid, "Make the image again without it.",
				"the name %s in the image's /etc/skel has a quote or a control character", fmt.Sprintf("%q", name))
		}
		s.foreign = append(s.foreign, name)
		return nil
	})
	return s, err
}

// addContent adds what a file or a link of a skeleton holds.
func addContent(w io.Writer, path string, kind fs.FileMode) error {
	switch kind {
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		fmt.Fprintf(w, "%q\n", target)
		return err
	case fs.ModeDir:
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, f.Close())
}

// least is the smallest disk that takes the skeleton and leaves some room.
func (s skeleton) least() int64 {
	const mib = 1 << 20
	need := s.bytes + s.bytes/8 + 4*mib
	size := int64(16 * mib)
	for ; size-overhead(size) < need || size/16384 < s.entries+64; size += max(mib, size/64/mib*mib) {
	}
	return size
}

// overhead is what ext4 takes of a disk: journal (mke2fs's sizes), inodes,
// maps and copies of the descriptors.
func overhead(size int64) int64 {
	const mib = 1 << 20
	journal := int64(4 * mib)
	for _, step := range []struct{ from, takes int64 }{
		{128 * mib, 16 * mib},
		{1 << 30, 32 * mib},
		{2 << 30, 64 * mib},
		{16 << 30, 128 * mib},
		{32 << 30, 256 * mib},
		{64 << 30, 512 * mib},
		{128 << 30, 1 << 30},
	} {
		if size >= step.from {
			journal = step.takes
		}
	}
	return journal + size/64 + size/1024 + mib
}
