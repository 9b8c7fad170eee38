// Package vmlinux takes the ELF kernel out of what kernels come in, and says what
// it is: for which processor, of which version, with which entry.
package vmlinux

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"

	"github.com/banger-vm/banger/internal/kernel/unfit"
	"github.com/banger-vm/banger/internal/kernel/unpack"
)

// Bounds on a kernel; Debian's cloud kernel is 14 MB packed and 53 MB unpacked.
const (
	maxPacked  = 128 << 20
	maxVmlinux = 512 << 20
)

var errTooBig = unfit.New("the kernel is too large: at most %d MiB packed and %d MiB unpacked are taken", maxPacked>>20, maxVmlinux>>20)

// Extract writes the ELF vmlinux that the kernel in r holds to w: out of a
// bzImage (vmlinuz), or r itself where that is an ELF already.
func Extract(ctx context.Context, w io.Writer, r io.ReaderAt, size int64) error {
	h, err := readHeader(r, size)
	if err != nil {
		return err
	}
	w = until{ctx, w}
	if h.elf {
		_, err := io.Copy(w, io.NewSectionReader(r, 0, size))
		return err
	}
	return unpackPayload(w, io.NewSectionReader(r, h.offset, h.length))
}

// unpackPayload unpacks a payload. Its last four bytes are the unpacked size, put
// there by the kernel's build (for gzip they are a part of the format).
func unpackPayload(w io.Writer, payload *io.SectionReader) error {
	var stated [4]byte
	end := payload.Size() - int64(len(stated))
	if _, err := payload.ReadAt(stated[:], end); err != nil {
		return err
	}
	want := int64(binary.LittleEndian.Uint32(stated[:]))
	if want > maxVmlinux {
		return errTooBig
	}
	magic := make([]byte, 2)
	if _, err := payload.ReadAt(magic, 0); err != nil {
		return err
	}
	packed := io.NewSectionReader(payload, 0, end)
	if string(magic) == "\x1f\x8b" {
		packed = payload
	}
	in, err := unpack.Open(packed, want)
	if err != nil {
		return unfit.New("the kernel cannot be unpacked: %w", err)
	}
	defer in.Close()
	out := &unpack.Writer{To: w}
	n, err := io.Copy(out, in)
	switch {
	case out.Err != nil: // ours, not the kernel's
		return out.Err
	case errors.Is(err, unpack.ErrTooLarge), err == nil && n != want:
		return unfit.New("the kernel is damaged: it unpacks to another size than the %d bytes it states", want)
	case err != nil:
		return unfit.New("unpacking the kernel: %w", err)
	}
	return nil
}

// until is a writer until its context ends.
type until struct {
	ctx context.Context
	w   io.Writer
}

func (u until) Write(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.w.Write(p)
}

// Check makes sure that r is a 64-bit x86 ELF program whose segments lie
// inside of it.
func Check(r io.ReaderAt, size int64) error {
	f, err := elf.NewFile(r)
	if err != nil {
		return unfit.New("the kernel is no whole ELF: %w", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 {
		return unfit.New("the kernel is for %s (%s); x86-64 is needed", f.Machine, f.Class)
	}
	load := false
	for _, p := range f.Progs {
		if p.Off > uint64(size) || p.Filesz > uint64(size)-p.Off {
			return unfit.New("the kernel is damaged: a segment lies outside of the file")
		}
		load = load || p.Type == elf.PT_LOAD
	}
	if !load {
		return unfit.New("the kernel is damaged: it has nothing to load")
	}
	return nil
}
