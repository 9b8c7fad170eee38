package growfs

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Where ext4 has its superblock, and the fields that we need in it
// (Documentation/filesystems/ext4/super.rst); little endian.
const (
	superAt    = 1024
	superSize  = 1024
	blocksLoAt = 0x04
	logSizeAt  = 0x18 // the block's size is 1024 << that
	magicAt    = 0x38
	incompatAt = 0x60
	blocksHiAt = 0x150 // only with is64bit

	magic      = 0xef53
	is64bit    = 0x80
	maxLogSize = 6 // 64 KiB
)

// super is a file system's size: how many blocks of how many bytes.
type super struct {
	blocks, blockSize uint64
}

func (s super) bytes() int64 { return int64(s.blocks * s.blockSize) }

// readSuper reads the superblock of a device. That of a mounted file system is
// the kernel's own copy.
func readSuper(dev io.ReaderAt) (super, error) {
	b := make([]byte, superSize)
	if _, err := dev.ReadAt(b, superAt); err != nil {
		return super{}, fmt.Errorf("reading the superblock: %w", err)
	}
	return parseSuper(b)
}

func parseSuper(b []byte) (super, error) {
	le := binary.LittleEndian
	if len(b) < superSize || le.Uint16(b[magicAt:]) != magic {
		return super{}, fmt.Errorf("it holds no ext4")
	}
	log := le.Uint32(b[logSizeAt:])
	if log > maxLogSize {
		return super{}, fmt.Errorf("its superblock is broken: blocks of 2^%d KiB", log)
	}
	s := super{blocks: uint64(le.Uint32(b[blocksLoAt:])), blockSize: 1024 << log}
	if le.Uint32(b[incompatAt:])&is64bit != 0 {
		s.blocks |= uint64(le.Uint32(b[blocksHiAt:])) << 32
	}
	if s.blocks == 0 || s.blocks > (1<<62)/s.blockSize {
		return super{}, fmt.Errorf("its superblock is broken: %d blocks", s.blocks)
	}
	return s, nil
}
