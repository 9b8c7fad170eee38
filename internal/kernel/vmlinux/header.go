package vmlinux

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"regexp"

	"github.com/banger-vm/banger/internal/kernel/unfit"
)

// Offsets in a bzImage (Documentation/arch/x86/boot.rst).
const (
	offSetupSects = 0x1f1
	offMagic      = 0x202 // "HdrS"
	offVersion    = 0x206
	offRelease    = 0x20e // of the version's text, from offLine on
	offLoadFlags  = 0x236
	offPayload    = 0x248 // payload_offset, then payload_length
	headerEnd     = 0x250
	offLine       = 0x200
	minVersion    = 0x0208 // the first that tells where the payload is
	flagsVersion  = 0x020c // the first that tells whether it is for 64 bits
	flag64        = 1
	sectorSize    = 512
)

// Where the kernels of other processors have their magic number.
const (
	offOther = 56
	offZboot = 4
)

// banner is what the version in an ELF kernel begins with.
const banner = "Linux version "

// maxRelease is how long Linux lets uname -r be.
const maxRelease = 64

// releaseForm keeps what a kernel says of itself from being a path.
var releaseForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]*$`)

// header is what the beginning of a kernel says.
type header struct {
	elf            bool // it is a vmlinux, and the rest is not known
	offset, length int64
	release        string
}

// readHeader reads the beginning of a kernel and refuses what is none for
// this processor.
func readHeader(r io.ReaderAt, size int64) (header, error) {
	if size > maxVmlinux {
		return header{}, errTooBig
	}
	head := make([]byte, headerEnd)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return header{}, err
	}
	switch other := foreign(head[:n]); {
	case other != "":
		return header{}, unfit.New("this is a kernel for %s; x86-64 is needed", other)
	case n < len(head):
		return header{}, unfit.New("this is no kernel: it has %d bytes", n)
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return header{elf: true}, nil
	}
	return readBzImage(head, r, size)
}

// foreign names the processors that a kernel is for, "" for x86.
func foreign(head []byte) string {
	at := func(off int, magic string) bool {
		return len(head) >= off+len(magic) && string(head[off:off+len(magic)]) == magic
	}
	switch {
	case at(offOther, "ARMd"):
		return "arm64"
	case at(offOther, "RSC\x05"):
		return "RISC-V"
	case at(offZboot, "zimg"):
		return "arm64, RISC-V or LoongArch (EFI zboot)"
	}
	return ""
}

func readBzImage(head []byte, r io.ReaderAt, size int64) (header, error) {
	le := binary.LittleEndian
	if string(head[offMagic:offMagic+4]) != "HdrS" {
		return header{}, unfit.New("this is no kernel: neither an ELF nor a bzImage")
	}
	version := le.Uint16(head[offVersion:])
	switch {
	case version < minVersion:
		return header{}, unfit.New("the kernel's boot protocol %d.%02d is too old: 2.08 is needed", version>>8, version&0xff)
	case version >= flagsVersion && le.Uint16(head[offLoadFlags:])&flag64 == 0:
		return header{}, unfit.New("this is a kernel for 32-bit x86; x86-64 is needed")
	}
	sects := int64(head[offSetupSects])
	if sects == 0 {
		sects = 4
	}
	h := header{
		offset: (sects+1)*sectorSize + int64(le.Uint32(head[offPayload:])),
		length: int64(le.Uint32(head[offPayload+4:])),
	}
	switch {
	case h.length < 8 || h.offset+h.length > size:
		return header{}, unfit.New("the kernel is damaged: its payload lies outside of the file")
	case h.length > maxPacked:
		return header{}, errTooBig
	}
	var err error
	if at := int64(le.Uint16(head[offRelease:])); at != 0 {
		h.release, err = releaseAt(r, offLine+at)
	}
	return h, err
}

// Release returns what uname -r says on the kernel in r, a bzImage or an ELF.
func Release(r io.ReaderAt, size int64) (string, error) {
	h, err := readHeader(r, size)
	if err == nil && h.elf {
		h.release, err = releaseOfELF(r, size)
	}
	switch {
	case err != nil:
		return "", err
	case len(h.release) > maxRelease || !releaseForm.MatchString(h.release):
		return "", unfit.New("the kernel does not say its version")
	}
	return h.release, nil
}

// releaseAt reads the first word at an offset, "" if it does not end.
func releaseAt(r io.ReaderAt, at int64) (string, error) {
	b := make([]byte, maxRelease+1)
	n, err := r.ReadAt(b, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	end := bytes.IndexAny(b[:n], " \x00\n")
	return string(b[:max(end, 0)]), nil
}

// releaseOfELF looks for the banner that every kernel has in its data; there
// is also the pattern for it, whose version is none.
func releaseOfELF(r io.ReaderAt, size int64) (string, error) {
	const chunk = 1 << 20
	b := make([]byte, chunk+len(banner))
	for at := int64(0); at < size; at += chunk {
		n, err := r.ReadAt(b[:min(int64(len(b)), size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		for from := 0; ; {
			i := bytes.Index(b[from:n], []byte(banner))
			if i < 0 {
				break
			}
			from += i + len(banner)
			if release, err := releaseAt(r, at+int64(from)); err != nil || releaseForm.MatchString(release) {
				return release, err
			}
		}
	}
	return "", nil
}
