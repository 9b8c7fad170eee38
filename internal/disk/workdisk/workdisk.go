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

// blockSize is that of the file system, in bytes.
const blockSize = 4096

// Make makes the work disk at path, sparse, its files owned by uid and gid; one
// that is there is left as it is. mke2fs writes only what is not zero, so the
// time does not depend on the size.
func Make(ctx context.Context, run hostexec.Runner, path string, sizeBytes int64, skelDir string, uid, gid int) error {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		return nil
	}
	skel, err := readSkeleton(skelDir, uid, gid)
	if err != nil {
		return fmt.Errorf("the home's skeleton cannot be read: %w", err)
	}
	if least := skel.least(); sizeBytes < least {
		return fault.New(fault.Invalid, fmt.Sprintf("Use --disk with at least %dM.", least>>20),
			"a work disk of %d MiB is too small for its skeleton: it takes at least %d MiB", sizeBytes>>20, least>>20)
	}
	m := maker{run: run, skel: skel}
	err = disk.WriteFile(path, func(f *os.File) error {
		if err := f.Truncate(sizeBytes); err != nil {
			return err
		}
		if err := m.format(ctx, f.Name(), skelDir, uid, gid); err != nil {
			return err
		}
		return m.own(ctx, f.Name(), uid, gid)
	})
	if err != nil {
		return fmt.Errorf("the work disk could not be made: %w", err)
	}
	return nil
}

type maker struct {
	run  hostexec.Runner
	skel skeleton
}

func (m maker) format(ctx context.Context, file, skelDir string, uid, gid int) error {
	_, err := m.tool(ctx, "", "mke2fs", "-q", "-F", "-t", "ext4",
		"-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-L", "home", "-O", features,
		"-E", fmt.Sprintf("root_owner=%d:%d,lazy_itable_init=1,lazy_journal_init=1,nodiscard,packed_meta_blocks=1", uid, gid),
		"-d", skelDir, file)
	return err
}

// own gives the files that belong to somebody else to the user. As an ordinary
// user the host could not change their owner before they are copied.
func (m maker) own(ctx context.Context, file string, uid, gid int) error {
	if len(m.skel.foreign) == 0 {
		return nil
	}
	var script strings.Builder
	for _, name := range m.skel.foreign {
		fmt.Fprintf(&script, "set_inode_field \"/%s\" uid %d\nset_inode_field \"/%s\" gid %d\n", name, uid, name, gid)
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
		return nil, fault.New(fault.Precondition, "Install the package e2fsprogs.", "%w", err)
	case err != nil && bytes.Contains(res.Stderr, []byte("No space left on device")):
		return nil, fmt.Errorf("%w: %w", err, syscall.ENOSPC)
	}
	return res.Stderr, err
}
