package kernel

import (
	"bytes"
	"debug/elf"
	"io"

	"github.com/banger-vm/banger/internal/kernel/unfit"
)

// maxModinfo bounds what a module says of itself.
const maxModinfo = 1 << 20

// checkModule makes sure that the module in r is one of the kernel release.
func checkModule(r io.ReaderAt, release string) error {
	f, err := elf.NewFile(r)
	if err != nil {
		return unfit.New("it is no kernel module: %w", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 {
		return unfit.New("it is for %s (%s); x86-64 is needed", f.Machine, f.Class)
	}
	section := f.Section(".modinfo")
	if section == nil || section.Size > maxModinfo {
		return unfit.New("it is no kernel module")
	}
	info, err := section.Data()
	if err != nil {
		return unfit.New("it is no whole kernel module: %w", err)
	}
	for field := range bytes.SplitSeq(info, []byte{0}) {
		magic, ok := bytes.CutPrefix(field, []byte("vermagic="))
		if !ok {
			continue
		}
		of, _, _ := bytes.Cut(magic, []byte(" "))
		if string(of) != release {
			return unfit.New("it is for the kernel %.64q, and this is %s", of, release)
		}
		return nil
	}
	return unfit.New("it does not say which kernel it is for")
}
