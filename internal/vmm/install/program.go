package install

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// machines are the architectures: what makers of VMMs call them, and ELF.
var machines = map[string]struct {
	name    string
	machine elf.Machine
}{
	"amd64": {"x86_64", elf.EM_X86_64},
	"arm64": {"aarch64", elf.EM_AARCH64},
}

func hostArch() string {
	if m, ok := machines[runtime.GOARCH]; ok {
		return m.name
	}
	return runtime.GOARCH
}

// checked says whether check was done.
func (w work) checked(context.Context) (bool, error) {
	_, err := w.readyVersion()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// check makes sure that the programs run here and that the VMM is one that
// its driver knows, and names their directory after the version.
func (w work) check(ctx context.Context) error {
	from := filepath.Join(w.dir(), unpacked)
	programs, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if err := runsHere(filepath.Join(from, p.Name())); err != nil {
			return w.wrong("its %s %w", p.Name(), err)
		}
	}
	bounded, cancel := context.WithTimeoutCause(ctx, w.cfg.VersionTime, fmt.Errorf("it does not tell its version within %v", w.cfg.VersionTime))
	defer cancel()
	version, err := w.product.Version(bounded, filepath.Join(from, w.product.Programs[0]))
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return w.wrong("%w", err)
	}
	if !versionForm.MatchString(version) {
		return w.wrong("%q is no version", version)
	}
	if err := os.MkdirAll(filepath.Join(w.dir(), ready), 0o755); err != nil {
		return err
	}
	return os.Rename(from, filepath.Join(w.dir(), ready, version))
}

// readyVersion is the version that check has found; fs.ErrNotExist before.
func (w work) readyVersion() (string, error) {
	entries, err := os.ReadDir(filepath.Join(w.dir(), ready))
	if err != nil {
		return "", err
	}
	if len(entries) != 1 || !versionForm.MatchString(entries[0].Name()) {
		return "", fs.ErrNotExist
	}
	return entries[0].Name(), nil
}

// runsHere wants a 64-bit program for this processor. It reads the header
// alone: the rest is the kernel's to judge.
func runsHere(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var head [20]byte
	if _, err := io.ReadFull(f, head[:]); err != nil || string(head[:4]) != elf.ELFMAG {
		return errors.New("is no program")
	}
	if elf.Class(head[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(head[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return errors.New("is no 64-bit program")
	}
	kind := elf.Type(binary.LittleEndian.Uint16(head[16:]))
	if kind != elf.ET_EXEC && kind != elf.ET_DYN {
		return fmt.Errorf("is no program but %v", kind)
	}
	if got, want := elf.Machine(binary.LittleEndian.Uint16(head[18:])), machines[runtime.GOARCH].machine; got != want {
		return fmt.Errorf("is a program for %v, this host needs %v", got, want)
	}
	return nil
}
