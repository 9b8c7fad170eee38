package install_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/vmm/install"
)

// program is a VMM of that version: a whole program of 200 bytes that prints
// it, or never ends for "hangs".
func program(t testing.TB, version string) []byte {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the test VMM is a program for amd64")
	}
	text := "Testvmm v" + version + "\n"
	code := []byte{
		0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, // mov eax, SYS_write; mov edi, 1
		0x48, 0x8d, 0x35, 16, 0, 0, 0, 0xba, byte(len(text)), 0, 0, 0, // lea rsi, [rip+16]; mov edx, len
		0x0f, 0x05, // syscall
		0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05, // mov eax, SYS_exit; xor edi, edi; syscall
	}
	if version == "hangs" {
		code = []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7} // mov eax, SYS_pause; syscall; jmp to the begin
	}
	code = append(code, text...)
	const base, head = 0x400000, 64 + 56
	var b bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Entry: base + head,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	put(h)
	size := uint64(head + len(code))
	put(elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base,
		Filesz: size, Memsz: size, Align: 4096,
	})
	b.Write(code)
	return b.Bytes()
}

// arch is what makers call this processor.
var arch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]

// entry is an entry of an archive.
type entry struct {
	tar.Header
	body []byte
}

func file(name string, body []byte) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}, body}
}

// inRelease is a file with the name that it has in a release.
func inRelease(what, version, arch string, body []byte) entry {
	suffix := "v" + version + "-" + arch
	return file("release-"+suffix+"/"+what+"-"+suffix, body)
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// release is what a maker publishes.
func release(t testing.TB, version string) []byte {
	t.Helper()
	dir := "release-v" + version + "-" + arch
	return archive(t,
		entry{Header: tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}},
		file(dir+"/LICENSE", []byte("free")),
		inRelease("testvmm", version, arch, program(t, version)),
		inRelease("testvmm", version, arch+".debug", []byte("symbols")),
		inRelease("jailer", version, arch, program(t, version)),
		inRelease("seccompiler-bin", version, arch, []byte("not wanted")),
	)
}

// rig is a registry of VMMs in a daemon's worth of parts.
type rig struct {
	*install.Registry
	t      *testing.T
	cfg    install.Config
	store  *store.Store
	events *event.Log
	ops    *operation.Registry

	running, stopped []string
	block            chan struct{} // asking a program for its version waits for it
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t}
	r.cfg = install.Config{
		Dir:      filepath.Join(t.TempDir(), "vmm"),
		Products: []install.Product{{Name: "testvmm", Programs: []string{"testvmm", "jailer"}, Version: r.version}},
		Users:    func(context.Context, string) ([]string, []string, error) { return r.running, r.stopped, nil },
		MaxGiven: 4 << 20, MaxUnpacked: 2 << 20,
	}
	r.open()
	t.Cleanup(r.close)
	return r
}

var versionLine = regexp.MustCompile(`^Testvmm v(\S+)\n$`)

func (r *rig) version(ctx context.Context, path string) (string, error) {
	if r.block != nil {
		select {
		case <-r.block:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	res, err := hostexec.Host{}.Run(ctx, hostexec.Cmd{Name: path, Args: []string{"--version"}})
	if err != nil {
		return "", err
	}
	found := versionLine.FindSubmatch(res.Stdout)
	if found == nil {
		return "", fmt.Errorf("it says %q", res.Stdout)
	}
	if strings.HasPrefix(string(found[1]), "0.") {
		return "", fault.New(fault.Precondition, "", "testvmm %s is too old", found[1])
	}
	return string(found[1]), nil
}

// open starts a daemon's parts on what is in the directory.
func (r *rig) open() {
	r.t.Helper()
	log, ctx := slog.New(slog.DiscardHandler), r.t.Context()
	db, err := store.Open(ctx, filepath.Join(filepath.Dir(r.cfg.Dir), "banger.db"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.store, r.Registry = db, install.New(log, r.cfg)
	if r.events, err = event.Open(ctx, db, log, event.Config{}); err != nil {
		r.t.Fatal(err)
	}
	r.ops = operation.New(db, claim.NewTable(), r.events, log, operation.Config{Planners: r.Planners()})
	if err := r.ops.Recover(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// close stops them, as a daemon that ends.
func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(r.ops.Close(ctx), r.events.Close(ctx), r.store.Close()); err != nil {
		r.t.Error(err)
	}
}

// begin begins to install what is at from, whose checksum is that of body.
func (r *rig) begin(from string, body []byte) operation.Record {
	r.t.Helper()
	sum := sha256.Sum256(body)
	return r.beginSum(from, hex.EncodeToString(sum[:]))
}

func (r *rig) beginSum(from, sum string) operation.Record {
	r.t.Helper()
	rec, err := r.Install(r.t.Context(), "testvmm", from, sum, "", r.ops)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func (r *rig) end(rec operation.Record) operation.Record {
	r.t.Helper()
	rec, err := r.ops.Wait(r.t.Context(), rec.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

// given writes body to where it is installed from.
func (r *rig) given(body []byte) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "given")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// install installs body, which must work.
func (r *rig) install(body []byte) {
	r.t.Helper()
	if rec := r.end(r.begin(r.given(body), body)); rec.State != operation.Succeeded {
		r.t.Fatalf("installing %s: %v", rec.State, rec.Error)
	}
}

// files are all files of the registry's directory and its links.
func (r *rig) files() string {
	r.t.Helper()
	var all []string
	err := filepath.WalkDir(r.cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(r.cfg.Dir, path)
		if d.Type() == fs.ModeSymlink {
			to, lerr := os.Readlink(path)
			name, err = name+"->"+to, errors.Join(err, lerr)
		}
		all = append(all, name)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// empty checks that nothing is left, not even a directory.
func (r *rig) empty() {
	r.t.Helper()
	left, err := os.ReadDir(r.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.t.Fatal(err)
	}
	if len(left) > 0 {
		r.t.Errorf("left are %v: %s", left, r.files())
	}
}

func (r *rig) find() (path, by string) {
	return install.Finder{Dir: r.cfg.Dir}.Find("testvmm")
}
