// Package workdisk makes work disks: the ext4 that is the home of a VM's login
// user, filled from the image's skeleton. The host never mounts one.
package workdisk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

// features of the file system, in full: the host's mke2fs.conf has no say.
// Without resize_inode a disk takes 260 KiB instead of 4.4 MiB on the host, and
// can still grow, by meta_bg.
const features = "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super," +
	"large_file,huge_file,dir_nlink,extra_isize,metadata_csum"

const hintTools = "Install the package e2fsprogs."

// blockSize is that of the file system, in bytes.
const blockSize = 4096

// Home is what a work disk begins with.
type Home struct {
	Skel     string // directory with its files
	UID, GID int    // its owner, also of the files
}

// Make makes the work disk at path, sparse; one that is there is left as it is.
// mke2fs writes only what is not zero, so the time does not depend on the size.
func Make(ctx context.Context, run hostexec.Runner, path string, sizeBytes int64, h Home) error {
	if there(path) {
		return nil
	}
	m, err := newMaker(run, sizeBytes, h)
	if err != nil {
		return err
	}
	if err := disk.WriteFile(path, func(f *os.File) error { return m.fill(ctx, f) }); err != nil {
		return fmt.Errorf("the work disk could not be made: %w", err)
	}
	return nil
}

func there(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// maker makes work disks of one home and size.
type maker struct {
	run  hostexec.Runner
	home Home
	size int64
	skel skeleton
}

func newMaker(run hostexec.Runner, sizeBytes int64, h Home) (maker, error) {
	skel, err := readSkeleton(h.Skel, h.UID, h.GID)
	if err != nil {
		return maker{}, fmt.Errorf("the home's skeleton cannot be read: %w", err)
	}
	if least := skel.least(); sizeBytes < least {
		return maker{}, fault.New(fault.Invalid, fmt.Sprintf("Use --disk with at least %dM.", least>>20),
			"a work disk of %d MiB is too small for its skeleton: it takes at least %d MiB", sizeBytes>>20, least>>20)
	}
	return maker{run: run, home: h, size: sizeBytes, skel: skel}, nil
}

// fill makes the file system in an empty file.
func (m maker) fill(ctx context.Context, f *os.File) error {
	if err := f.Truncate(m.size); err != nil {
		return err
	}
	if err := m.format(ctx, f.Name()); err != nil {
		return err
	}
	return m.own(ctx, f.Name())
}

// tool is what makes the file system.
const tool = "mke2fs"

// options are its arguments but for the places.
func (m maker) options() []string {
	return []string{
		"-q", "-F", "-t", "ext4",
		"-b", fmt.Sprint(blockSize), "-I", "256", "-i", "16384", "-m", "0", "-L", "home", "-O", features,
		"-E", fmt.Sprintf("root_owner=%d:%d,lazy_itable_init=1,lazy_journal_init=1,nodiscard,packed_meta_blocks=1", m.home.UID, m.home.GID),
	}
}

func (m maker) format(ctx context.Context, file string) error {
	_, err := m.tool(ctx, "", tool, append(m.options(), "-d", m.home.Skel, file)...)
	return err
}

// own gives the files that belong to somebody else to the user. As an ordinary
// user the host could not change their owner before they are copied.
func (m maker) own(ctx context.Context, file string) error {
	if len(m.skel.foreign) == 0 {
		return nil
	}
	var script strings.Builder
	for _, name := range m.skel.foreign {
		fmt.Fprintf(&script, "set_inode_field \"/%s\" uid %d\nset_inode_field \"/%s\" gid %d\n", name, m.home.UID, name, m.home.GID)
	}
	stderr, err := m.tool(ctx, script.String(), "debugfs", "-w", "-f", "-", file)
	if err != nil {
		return err
	}
	// debugfs succeeds whatever its commands say; after its banner it must be silent.
	if _, complaint, _ := bytes.Cut(stderr, []byte("\n")); len(bytes.TrimSpace(complaint)) > 0 {
		return fmt.Errorf("the owner of the home's files could not be set: %s", bytes.TrimSpace(complaint))
	}
	return nil
}

func (m maker) tool(ctx context.Context, stdin, name string, args ...string) (stderr []byte, err error) {
	res, err := m.run.Run(ctx, hostexec.Cmd{
		Name: name, Args: args, Stdin: strings.NewReader(stdin), Env: append(os.Environ(), "LC_ALL=C"),
	})
	switch {
	case errors.Is(err, hostexec.ErrNotInstalled):
		return nil, fault.New(fault.Precondition, hintTools, "%w", err)
	case err != nil && bytes.Contains(res.Stderr, []byte("No space left on device")):
		return nil, fmt.Errorf("%w: %w", err, syscall.ENOSPC)
	}
	return res.Stderr, err
}
