package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The format is described in QEMU's docs/interop/qcow2.rst; all numbers in it
// are big endian. An overlay that nothing was written to is four clusters: the
// header, a table of the blocks of reference counts, one such block, and the
// table by which the disk's clusters are found (L1), which is empty.
const (
	clusterBits = 16
	cluster     = 1 << clusterBits

	atTable  = 1 * cluster
	atBlock  = 2 * cluster
	atL1     = 3 * cluster
	newBytes = 4 * cluster

	// perL1 is how much of the disk an entry of L1 stands for: a cluster of entries.
	perL1 = cluster / 8 * cluster
	// maxBytes is the largest disk whose L1 fits into one cluster.
	maxBytes = cluster / 8 * perL1

	magic        = "QFI\xfb"
	version      = 3
	refcountBits = 4 // 16 bits a cluster
	headerBytes  = 104
	headerLimit  = 112 // as newer versions write it
)

// Where the header has what we look at.
const (
	atVersion      = 4
	atBackingName  = 8 // offset (8) and length (4) of it
	atClusterBits  = 20
	atSize         = 24
	atCrypt        = 32
	atL1Entries    = 36
	atL1Offset     = 40
	atTableOffset  = 48
	atTableCount   = 56
	atSnapshots    = 60
	atIncompatible = 72
	atRefcountBits = 96
	atHeaderBytes  = 100
)

// The incompatible features that we know of an overlay of ours.
const (
	dirty   = 1 << 0 // was not closed; QEMU puts that right
	corrupt = 1 << 1
)

var be = binary.BigEndian

// writeNew writes an overlay of sizeBytes that nothing was written to. It names
// no backing file: whoever opens it says which.
func writeNew(w io.WriterAt, sizeBytes int64) error {
	h := make([]byte, headerBytes)
	copy(h, magic)
	be.PutUint32(h[atVersion:], version)
	be.PutUint32(h[atClusterBits:], clusterBits)
	be.PutUint64(h[atSize:], uint64(sizeBytes))
	be.PutUint32(h[atL1Entries:], uint32((sizeBytes+perL1-1)/perL1))
	be.PutUint64(h[atL1Offset:], atL1)
	be.PutUint64(h[atTableOffset:], atTable)
	be.PutUint32(h[atTableCount:], 1)
	be.PutUint32(h[atRefcountBits:], refcountBits)
	be.PutUint32(h[atHeaderBytes:], headerBytes)
	table := be.AppendUint64(nil, atBlock)
	var counts []byte // of the four clusters
	for range newBytes / cluster {
		counts = be.AppendUint16(counts, 1)
	}
	for _, part := range []struct {
		at   int64
		data []byte
	}{{0, h}, {atTable, table}, {atBlock, counts}} {
		if _, err := w.WriteAt(part.data, part.at); err != nil {
			return err
		}
	}
	return nil
}

var (
	errForeign = errors.New("it is no overlay that banger made")
	errCorrupt = errors.New("QEMU has marked it as damaged")
)

// readHeader returns the size of the disk in an overlay of ours. One that names
// another file, keeps its blocks elsewhere, or is encrypted is refused: nothing
// in a guest could have made it so.
func readHeader(r io.ReaderAt) (int64, error) {
	h := make([]byte, headerLimit)
	if _, err := r.ReadAt(h, 0); err != nil {
		return 0, fmt.Errorf("%w: its header cannot be read: %w", errForeign, err)
	}
	length, size := be.Uint32(h[atHeaderBytes:]), be.Uint64(h[atSize:])
	for _, wrong := range []struct {
		is   bool
		what string
	}{
		{string(h[:len(magic)]) != magic || be.Uint32(h[atVersion:]) != version, "it is another format"},
		{be.Uint64(h[atBackingName:]) != 0 || be.Uint32(h[atBackingName+8:]) != 0, "it names another file"},
		{be.Uint32(h[atClusterBits:]) != clusterBits, "its clusters have another size"},
		{be.Uint32(h[atCrypt:]) != 0, "it is encrypted"},
		{be.Uint32(h[atSnapshots:]) != 0, "it has snapshots"},
		{be.Uint64(h[atIncompatible:])&^(dirty|corrupt) != 0, "it has features that are not known"},
		{length < headerBytes || length > cluster || length%8 != 0, "its header is broken"},
		{size == 0 || size > maxBytes || size%512 != 0, "its size is impossible"},
	} {
		if wrong.is {
			return 0, fmt.Errorf("%w: %s", errForeign, wrong.what)
		}
	}
	if be.Uint64(h[atIncompatible:])&corrupt != 0 {
		return 0, errCorrupt
	}
	return int64(size), nil
}
