package vmlinux

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
)

// The note by which a kernel tells its PVH entry.
const (
	pvhOwner = "Xen\x00"
	pvhType  = 18 // XEN_ELFNOTE_PHYS32_ENTRY
	maxNotes = 1 << 20
)

// HasPVH says whether the ELF kernel in r has a PVH entry.
func HasPVH(r io.ReaderAt) (bool, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return false, err
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > maxNotes {
			continue
		}
		notes, err := io.ReadAll(p.Open())
		if err != nil {
			return false, fmt.Errorf("reading the kernel's notes: %w", err)
		}
		if pvhIn(notes) {
			return true, nil
		}
	}
	return false, nil
}

func pvhIn(notes []byte) bool {
	const head = 12
	pad := func(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }
	for len(notes) >= head {
		name, desc := binary.LittleEndian.Uint32(notes), binary.LittleEndian.Uint32(notes[4:])
		kind := binary.LittleEndian.Uint32(notes[8:])
		notes = notes[head:]
		if uint64(len(notes)) < pad(name)+pad(desc) {
			return false
		}
		if kind == pvhType && bytes.HasPrefix(notes, []byte(pvhOwner)) && int(name) == len(pvhOwner) {
			return true
		}
		notes = notes[pad(name)+pad(desc):]
	}
	return false
}
