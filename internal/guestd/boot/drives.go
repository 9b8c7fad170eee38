package boot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/disk"
)

// WorkDrive is the work disk's.
const WorkDrive = "/dev/" + string(disk.SlotWork)

const (
	baseDrive    = "/dev/" + string(disk.SlotBase)
	layerDrive   = "/dev/" + string(disk.SlotLayer)
	modulesDrive = "/dev/" + string(disk.SlotModules)
)

// The drives are there as soon as their driver is, but for a slow VMM.
const (
	waitRequired = 20 * time.Second
	waitOptional = time.Second
)

// waitDrives waits for the drives; a missing one shows when it is used.
func (b *boot) waitDrives() {
	start := time.Now()
	limit := map[string]time.Duration{baseDrive: waitRequired, WorkDrive: waitOptional, modulesDrive: waitOptional}
	if b.args.root == disk.RootCOW {
		limit[layerDrive] = waitRequired
	}
	for drive, most := range limit {
		for !exists(drive) && time.Since(start) < most {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// rootDevice is the device with the root file system.
func (b *boot) rootDevice() (string, error) {
	if !exists(baseDrive) {
		return "", fmt.Errorf("the root drive %s did not appear within %s", baseDrive, waitRequired)
	}
	if b.args.root == disk.RootRaw {
		return baseDrive, nil
	}
	if !exists(layerDrive) {
		return "", fmt.Errorf("the drive of the root's COW layer %s did not appear within %s", layerDrive, waitRequired)
	}
	f, err := os.OpenFile(layerDrive, os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("opening the root's COW layer: %w", err)
	}
	defer f.Close()
	revived, err := reviveSnapshot(f)
	if err != nil {
		return "", fmt.Errorf("reading the root's COW layer: %w", err)
	}
	if revived {
		if err := f.Sync(); err != nil {
			return "", fmt.Errorf("reviving the root's COW layer: %w", err)
		}
		b.note("the root's COW layer was marked invalid and was revived")
	}
	device, err := joinSnapshot(baseDrive, layerDrive)
	if err != nil {
		return "", fmt.Errorf("joining the base image and the COW layer: %w", err)
	}
	return device, nil
}

// sectors is a drive's size in units of 512 bytes.
func sectors(drive string) (uint64, error) {
	b, err := os.ReadFile("/sys/class/block/" + strings.TrimPrefix(drive, "/dev/") + "/size")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

// Where an ext4 has its magic number.
const (
	ext4MagicAt = 1024 + 56
	ext4Magic   = "\x53\xef"
)

// holdsExt4 says whether there is a drive with an ext4: an unused slot is a
// drive without one.
func holdsExt4(drive string) (bool, error) {
	f, err := os.Open(drive)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	magic := make([]byte, len(ext4Magic))
	if _, err := f.ReadAt(magic, ext4MagicAt); errors.Is(err, io.EOF) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("reading %s: %w", drive, err)
	}
	return string(magic) == ext4Magic, nil
}
