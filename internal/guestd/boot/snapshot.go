package boot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The header of a persistent dm-snapshot: magic, valid, version and chunk
// size, 32 bits each, little endian.
const (
	snapshotMagic   = "SnAp"
	snapshotValidAt = 4
	chunkSectors    = 32 // 16 KiB
)

// reviveSnapshot marks a COW layer valid again. One failed write to it, on a
// full host, makes the kernel clear the mark, though all that was synced is
// there; without the mark the root never mounts again.
func reviveSnapshot(layer interface {
	io.ReaderAt
	io.WriterAt
},
) (bool, error) {
	header := make([]byte, 8)
	if _, err := layer.ReadAt(header, 0); err != nil {
		return false, err
	}
	if string(header[:4]) != snapshotMagic || binary.LittleEndian.Uint32(header[snapshotValidAt:]) != 0 {
		return false, nil
	}
	binary.LittleEndian.PutUint32(header[snapshotValidAt:], 1)
	_, err := layer.WriteAt(header[snapshotValidAt:], snapshotValidAt)
	return err == nil, err
}

// joinSnapshot makes the device-mapper snapshot of base with its changes in
// layer, and returns its device. A zeroed layer is a new one.
func joinSnapshot(base, layer string) (string, error) {
	size, err := sectors(base)
	if err != nil {
		return "", fmt.Errorf("asking for the base image's size: %w", err)
	}
	control, err := unix.Open("/dev/mapper/control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("opening the device mapper: %w", err)
	}
	defer unix.Close(control)
	dm := mapper{control: control, name: "banger-root"}
	device, err := dm.do(unix.DM_DEV_CREATE, nil, "")
	if err != nil {
		return "", fmt.Errorf("creating the device: %w", err)
	}
	target := &unix.DmTargetSpec{Length: size}
	copy(target.Target_type[:], "snapshot")
	if _, err := dm.do(unix.DM_TABLE_LOAD, target, fmt.Sprintf("%s %s P %d", base, layer, chunkSectors)); err != nil {
		return "", fmt.Errorf("loading the table: %w", err)
	}
	if _, err := dm.do(unix.DM_DEV_SUSPEND, nil, ""); err != nil { // without the suspend flag: resume
		return "", fmt.Errorf("starting the device: %w", err)
	}
	return fmt.Sprintf("/dev/dm-%d", unix.Minor(device)), nil
}

// mapper talks to the device mapper about one device.
type mapper struct {
	control int
	name    string
}

// do runs a command, with a table of one target where target is not nil, and
// returns the device's number.
func (m mapper) do(cmd uintptr, target *unix.DmTargetSpec, params string) (uint64, error) {
	const size = 4096
	if unix.SizeofDmIoctl+unix.SizeofDmTargetSpec+len(params)+1 > size || len(m.name) >= 128 {
		return 0, errors.New("the table is too long")
	}
	buf := make([]uint64, size/8) // aligned for the structs in it
	head := (*unix.DmIoctl)(unsafe.Pointer(&buf[0]))
	head.Version = [3]uint32{unix.DM_VERSION_MAJOR, 0, 0}
	head.Data_size = size
	head.Data_start = unix.SizeofDmIoctl
	copy(head.Name[:], m.name)
	if target != nil {
		head.Target_count = 1
		bytes := unsafe.Slice((*byte)(unsafe.Pointer(&buf[0])), size)[unix.SizeofDmIoctl:]
		*(*unix.DmTargetSpec)(unsafe.Pointer(&bytes[0])) = *target
		copy(bytes[unix.SizeofDmTargetSpec:], params)
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m.control), cmd, uintptr(unsafe.Pointer(head)))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return 0, errno
	}
	return head.Dev, nil
}
