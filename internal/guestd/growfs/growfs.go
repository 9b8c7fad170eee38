// Package growfs grows the work disk's file system to its device. The host only
// makes the device larger: what a guest wrote is for the guest's kernel to read.
package growfs

import (
	"context"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resizeIoctl is EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64): the new size in blocks.
const resizeIoctl = 0x40086610

// MountOptions are those of a work disk. What is new of a file is zeros, so its
// tables of inodes need not be written: they would take a 64th of the disk on
// the host, with a VMM that cannot discard.
const MountOptions = "noinit_itable"

// look is how long until a device is looked at again that is to become larger.
const look = 10 * time.Millisecond

// Grow makes the ext4 of device, which is mounted on dir, as large as the
// device, and returns its size in bytes. One that is so already is left alone;
// a crash in the middle leaves one that the next Grow goes on with.
func Grow(device, dir string) (int64, error) {
	dev, err := os.Open(device)
	if err != nil {
		return 0, fmt.Errorf("growing the file system of %s: %w", dir, err)
	}
	defer dev.Close()
	mounted, err := os.Open(dir)
	if err != nil {
		return 0, fmt.Errorf("growing the file system of %s: %w", dir, err)
	}
	defer mounted.Close()
	if err := same(dev, mounted); err != nil {
		return 0, err
	}
	size, err := deviceSize(dev)
	if err != nil {
		return 0, err
	}
	fs, err := readSuper(dev)
	if err != nil {
		return 0, err
	}
	blocks := uint64(size) / fs.blockSize
	if blocks <= fs.blocks {
		return fs.bytes(), nil
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, mounted.Fd(), resizeIoctl, uintptr(unsafe.Pointer(&blocks)))
	if errno != 0 {
		return 0, fmt.Errorf("the kernel does not grow the file system of %s from %d to %d blocks: %w", dir, fs.blocks, blocks, errno)
	}
	if fs, err = readSuper(dev); err != nil {
		return 0, err
	}
	return fs.bytes(), nil
}

// Await waits until a device has at least that size, in bytes: its driver hears
// of a new one a moment after the VMM has told it.
func Await(ctx context.Context, device string, size int64) error {
	for {
		dev, err := os.Open(device)
		if err != nil {
			return fmt.Errorf("looking at %s: %w", device, err)
		}
		has, err := deviceSize(dev)
		_ = dev.Close() // nothing was written
		if err != nil || has >= size {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has %d bytes and does not become %d: %w", device, has, size, context.Cause(ctx))
		case <-time.After(look):
		}
	}
}

// same refuses a directory that is not on the device: somebody in the guest has
// mounted something else there.
func same(dev, mounted *os.File) error {
	var d, m unix.Stat_t
	if err := unix.Fstat(int(dev.Fd()), &d); err != nil {
		return fmt.Errorf("looking at %s: %w", dev.Name(), err)
	}
	if err := unix.Fstat(int(mounted.Fd()), &m); err != nil {
		return fmt.Errorf("looking at %s: %w", mounted.Name(), err)
	}
	if d.Rdev != m.Dev {
		return fmt.Errorf("%s is not mounted on %s", dev.Name(), mounted.Name())
	}
	return nil
}

func deviceSize(dev *os.File) (int64, error) {
	size, err := dev.Seek(0, 2)
	if err != nil {
		return 0, fmt.Errorf("asking for the size of %s: %w", dev.Name(), err)
	}
	return size, nil
}
