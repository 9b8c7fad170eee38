package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

// diskSize is what a VM's root has: so much that nothing has to grow soon.
// The file is sparse.
const diskSize = "32G"

// mke2fsOptions: a new sparse file reads as zeroes, so the inode tables need
// not be zeroed, neither now nor by the guest's kernel in the background (it
// would fill each VM's COW layer with zeroes).
var mke2fsOptions = []string{
	"-q", "-F", "-t", "ext4", "-b", "4096", "-m", "1", "-L", "root", "-J", "size=64",
	"-O", "^metadata_csum_seed",
	"-E", "assume_storage_prezeroed=1,root_owner=0:0,nodiscard",
}

// makeDisk makes an ext4 of tree, and makes sure that it is whole.
func (b *Builder) makeDisk(ctx context.Context, tree, path string) error {
	args := append(mke2fsOptions[:len(mke2fsOptions):len(mke2fsOptions)], "-d", tree, path, diskSize)
	for _, cmd := range []hostexec.Cmd{
		b.asOwner("mke2fs", args...),
		{Name: "e2fsck", Args: []string{"-f", "-n", path}},
	} {
		_, err := b.run.Run(ctx, cmd)
		if errors.Is(err, hostexec.ErrNotInstalled) || err != nil && strings.Contains(err.Error(), "failed to execute mke2fs") {
			return fault.New(fault.Precondition, "Install it with: sudo apt-get install e2fsprogs", "making the image's disk needs e2fsprogs: %w", err)
		}
		if err != nil {
			return fmt.Errorf("making the image's disk: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o444), f.Sync(), f.Close())
}

// usage is a file's apparent size and what it takes.
func usage(path string) (size, used int64, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, errors.New("the file system does not tell what a file takes")
	}
	return st.Size(), sys.Blocks * 512, nil
}
