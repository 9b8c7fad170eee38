package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
)

// drive is a file as a block device of the host's, which goes when nobody has
// it any more, whoever is killed.
type drive struct {
	loop   *os.File
	number int
}

// releaseLimit bounds the wait for a file system to be unmounted.
const releaseLimit = time.Minute

// attach makes a drive. A guest that ended without its VMM may not have let go
// of the file yet.
func attach(path string, readOnly bool) (*drive, error) {
	mode := os.O_RDWR
	flags := uint32(unix.LO_FLAGS_AUTOCLEAR)
	if readOnly { // any number may read it
		mode, flags = os.O_RDONLY, flags|unix.LO_FLAGS_READ_ONLY
	} else if err := awaitFree(path); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a drive: %w", err)
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("making a block device: %w", err)
	}
	defer control.Close()
	for range 100 { // others take devices too
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("looking for a block device: %w", err)
		}
		loop, err := os.OpenFile("/dev/loop"+strconv.Itoa(number), mode, 0)
		if err != nil {
			return nil, fmt.Errorf("opening a block device: %w", err)
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: flags}})
		if err == nil {
			return &drive{loop: loop, number: number}, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("making a block device of %s: %w", path, err)
		}
	}
	return nil, errors.New("there is no free block device")
}

// awaitFree waits until no block device writes to a file.
func awaitFree(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was deleted with its VM
	}
	if err != nil {
		return err
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		var holders []string
		files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
		if err != nil {
			return err
		}
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(b)) == path { // one that goes has none
				holders = append(holders, f)
			}
		}
		switch {
		case len(holders) == 0:
			return nil
		case time.Since(began) > releaseLimit:
			return fmt.Errorf("%s is still a drive of another machine (%s)", path, strings.Join(holders, ", "))
		}
	}
}

func (d *drive) close() { d.loop.Close() }

// stat is the file that says what was done to the device.
func (d *drive) stat() string { return fmt.Sprintf("/sys/block/loop%d/stat", d.number) }

// statsByDrive is what was done to drives, since there were their devices.
type statsByDrive map[disk.Slot]vmm.DriveStats

// counted reads it.
func counted(stats map[disk.Slot]string) (statsByDrive, error) {
	all := statsByDrive{}
	for slot, path := range stats {
		b, err := os.ReadFile(path)
		if err == nil {
			all[slot], err = parseStat(string(b))
		}
		if err != nil {
			return nil, fmt.Errorf("reading what was done to a drive: %w", err)
		}
	}
	return all, nil
}

func parseStat(text string) (s vmm.DriveStats, _ error) {
	fields := strings.Fields(text)
	const sector, reads, readSectors, writes, writtenSectors = 512, 0, 2, 4, 6
	if len(fields) <= writtenSectors {
		return s, errors.New("it is not understood")
	}
	for field, into := range map[int]*int64{reads: &s.Reads, readSectors: &s.ReadBytes, writes: &s.Writes, writtenSectors: &s.WrittenBytes} {
		n, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return s, err
		}
		*into = n
	}
	s.ReadBytes *= sector
	s.WrittenBytes *= sector
	return s, nil
}

// stats is what the guest did to its drives.
func (m *machine) stats() (statsByDrive, error) {
	m.mu.Lock()
	drives, before := m.guest.Drives, m.counts
	m.mu.Unlock()
	now, err := counted(drives)
	for slot, n := range now {
		was := before[slot]
		now[slot] = vmm.DriveStats{
			Reads: n.Reads - was.Reads, ReadBytes: n.ReadBytes - was.ReadBytes,
			Writes: n.Writes - was.Writes, WrittenBytes: n.WrittenBytes - was.WrittenBytes,
		}
	}
	return now, err
}

// path is the absolute path of a drive's file.
func (h *hosted) path(d disk.Drive) string {
	if filepath.IsAbs(d.Path) {
		return d.Path
	}
	return filepath.Join(h.spec.Dir, d.Path)
}
