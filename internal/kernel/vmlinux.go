package kernel

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Bounds on a kernel; Debian's cloud kernel is 14 MB packed and 53 MB unpacked.
const (
	maxPacked  = 128 << 20
	maxVmlinux = 512 << 20
)

// Offsets in a bzImage (Documentation/arch/x86/boot.rst).
const (
	offSetupSects = 0x1f1
	offMagic      = 0x202 // "HdrS"
	offVersion    = 0x206
	offPayload    = 0x248 // payload_offset, then payload_length
	headerEnd     = 0x250
	minVersion    = 0x0208 // the first that tells where the payload is
	sectorSize    = 512
)

var errTooBig = errors.New("the kernel is too large")

// Extract writes the ELF vmlinux that the kernel in r holds to w: out of a
// bzImage (vmlinuz), or r itself where that is an ELF already.
func Extract(w io.Writer, r io.ReaderAt, size int64) error {
	if size > maxVmlinux {
		return errTooBig
	}
	head := make([]byte, headerEnd)
	if _, err := r.ReadAt(head, 0); err != nil {
		return fmt.Errorf("this is no kernel: reading its header: %w", err)
	}
	if bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		_, err := io.Copy(w, io.NewSectionReader(r, 0, size))
		return err
	}
	payload, err := findPayload(head, r, size)
	if err != nil {
		return err
	}
	return unpack(w, payload)
}

// findPayload reads the packed vmlinux of a bzImage.
func findPayload(head []byte, r io.ReaderAt, size int64) ([]byte, error) {
	if string(head[offMagic:offMagic+4]) != "HdrS" {
		return nil, errors.New("this is no kernel: neither an ELF nor a bzImage")
	}
	if v := binary.LittleEndian.Uint16(head[offVersion:]); v < minVersion {
		return nil, fmt.Errorf("the kernel's boot protocol %d.%02d is too old: 2.08 is needed", v>>8, v&0xff)
	}
	sects := int64(head[offSetupSects])
	if sects == 0 {
		sects = 4
	}
	offset := (sects+1)*sectorSize + int64(binary.LittleEndian.Uint32(head[offPayload:]))
	length := int64(binary.LittleEndian.Uint32(head[offPayload+4:]))
	switch {
	case length < 8 || offset+length > size:
		return nil, errors.New("the kernel is damaged: its payload lies outside of the file")
	case length > maxPacked:
		return nil, errTooBig
	}
	payload := make([]byte, length)
	if _, err := r.ReadAt(payload, offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the kernel's payload: %w", err)
	}
	return payload, nil
}

// unpack unpacks a payload. Its last four bytes are the unpacked size, put
// there by the kernel's build (for gzip they are a part of the format).
func unpack(w io.Writer, payload []byte) error {
	end := len(payload) - 4
	want := int64(binary.LittleEndian.Uint32(payload[end:]))
	if want > maxVmlinux {
		return errTooBig
	}
	var in io.Reader
	switch {
	case bytes.HasPrefix(payload, []byte{0x02, 0x21, 0x4c, 0x18}): // lz4 -l
		in = lz4.NewReader(bytes.NewReader(payload[:end]))
	case bytes.HasPrefix(payload, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		dec, err := zstd.NewReader(bytes.NewReader(payload[:end]), zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxMemory(maxVmlinux), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return err
		}
		defer dec.Close()
		in = dec
	case bytes.HasPrefix(payload, []byte{0x1f, 0x8b}):
		dec, err := gzip.NewReader(bytes.NewReader(payload))
		if err != nil {
			return fmt.Errorf("unpacking the kernel: %w", err)
		}
		in = dec
	default:
		return fmt.Errorf("the kernel is packed in a way that banger does not know (it starts with % x); LZ4, Zstandard and gzip are known", payload[:4])
	}
	n, err := io.Copy(w, io.LimitReader(in, want+1))
	if err != nil {
		return fmt.Errorf("unpacking the kernel: %w", err)
	}
	if n != want {
		return fmt.Errorf("the kernel is damaged: it unpacks to another size than the %d bytes it states", want)
	}
	return nil
}

// CheckELF makes sure that r is a 64-bit x86 ELF program whose segments lie
// inside of it.
func CheckELF(r io.ReaderAt, size int64) error {
	f, err := elf.NewFile(r)
	if err != nil {
		return fmt.Errorf("the kernel is no whole ELF: %w", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("the kernel is for %s (%s); x86-64 is needed", f.Machine, f.Class)
	}
	load := false
	for _, p := range f.Progs {
		if p.Off > uint64(size) || p.Filesz > uint64(size)-p.Off {
			return errors.New("the kernel is damaged: a segment lies outside of the file")
		}
		load = load || p.Type == elf.PT_LOAD
	}
	if !load {
		return errors.New("the kernel is damaged: it has nothing to load")
	}
	return nil
}
