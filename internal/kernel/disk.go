package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

const blockSize = 4096

// treeSize is what a directory tree takes on an ext4.
type treeSize struct {
	blocks int64
	inodes int64
}

// diskBytes is the size of an ext4 that holds the tree, with room for its
// own tables (an inode has 256 bytes).
func (t treeSize) diskBytes() int64 {
	bytes := t.blocks*blockSize + (t.inodes+inodeSlack)*256
	return (bytes+bytes/50+4<<20)/blockSize*blockSize + blockSize
}

const inodeSlack = 64

// measure walks tree, adds up its size and adds its content to the digest.
func measure(tree string, digest io.Writer) (treeSize, error) {
	var t treeSize
	root, err := os.OpenRoot(tree)
	if err != nil {
		return t, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		t.inodes++
		t.blocks++ // a directory has at least one block, a file a part of one
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := root.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := fmt.Fprintf(digest, "%s\n", path); err != nil {
			return err
		}
		n, err := io.Copy(digest, f)
		t.blocks += n / blockSize
		return err
	})
	return t, err
}

// makeDisk makes the modules disk of tree. Its UUID comes from the kernel's
// digest, so that the same kernel gives the same disk.
func (l *Library) makeDisk(ctx context.Context, tree, path, digest string, size treeSize) error {
	uuid := fmt.Sprintf("%s-%s-%s-%s-%s", digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32])
	_, err := l.run.Run(ctx, hostexec.Cmd{Name: "mke2fs", Args: []string{
		"-q", "-F", "-t", "ext4", "-b", strconv.Itoa(blockSize), "-m", "0", "-I", "256",
		"-N", strconv.FormatInt(size.inodes+inodeSlack, 10), "-L", "modules", "-U", uuid,
		"-O", "^has_journal,^resize_inode,^metadata_csum_seed",
		"-E", "hash_seed=" + uuid + ",root_owner=0:0,nodiscard", "-d", tree,
		path, strconv.FormatInt(size.diskBytes()/1024, 10) + "k",
	}})
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return fault.New(fault.Precondition, "Install it with: sudo apt-get install e2fsprogs", "making the modules disk needs mke2fs: %w", err)
	}
	if err != nil {
		return fmt.Errorf("making the modules disk: %w", err)
	}
	return syncFile(path)
}

// syncFile flushes a file that another program wrote.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// writeFile writes a file whole and flushed.
func writeFile(path string, body []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Sync(), f.Close())
}
