package install_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// What is given and is no release is refused by name, and leaves nothing.
func TestHostileArchives(t *testing.T) {
	vmm := func(t *testing.T) entry { return inRelease("testvmm", "1.12.1", arch, program(t, "1.12.1")) }
	link := func(kind byte, name, to string) entry {
		return entry{Header: tar.Header{Typeflag: kind, Name: name, Linkname: to}}
	}
	other := map[string]string{"x86_64": "aarch64", "aarch64": "x86_64"}[arch]
	for name, tc := range map[string]struct {
		body func(t *testing.T) []byte
		want string
	}{
		"symbolic link": {func(t *testing.T) []byte {
			return archive(t, vmm(t), link(tar.TypeSymlink, "release-v1.12.1-"+arch+"/jailer-v1.12.1-"+arch, "/etc/passwd"))
		}, "neither a file nor a directory"},
		"hard link": {func(t *testing.T) []byte {
			return archive(t, link(tar.TypeLink, "release-v1.12.1-"+arch+"/testvmm-v1.12.1-"+arch, "/etc/passwd"), vmm(t))
		}, "neither a file nor a directory"},
		"device":        {func(t *testing.T) []byte { return archive(t, link(tar.TypeChar, "null", "")) }, "neither a file nor a directory"},
		"pipe":          {func(t *testing.T) []byte { return archive(t, link(tar.TypeFifo, "pipe", "")) }, "neither a file nor a directory"},
		"dots":          {func(t *testing.T) []byte { return archive(t, file("../../etc/cron.d/x", nil), vmm(t)) }, "leads out of it"},
		"dots inside":   {func(t *testing.T) []byte { return archive(t, file("a/../b", nil), vmm(t)) }, "leads out of it"},
		"absolute":      {func(t *testing.T) []byte { return archive(t, file("/etc/cron.d/x", nil), vmm(t)) }, "leads out of it"},
		"no name":       {func(t *testing.T) []byte { return archive(t, file("", nil), vmm(t)) }, "leads out of it"},
		"twice":         {func(t *testing.T) []byte { return archive(t, vmm(t), vmm(t)) }, "the archive holds testvmm twice"},
		"no program":    {func(t *testing.T) []byte { return archive(t, file("README", nil)) }, "holds no release-vVERSION-" + arch + "/testvmm-vVERSION"},
		"loose program": {func(t *testing.T) []byte { return archive(t, file("testvmm-v1.12.1-"+arch, nil)) }, "holds no release-v"},
		"versions mixed": {func(t *testing.T) []byte {
			return archive(t, file("release-v1.12.1-"+arch+"/testvmm-v1.13.0-"+arch, nil))
		}, "holds no release-v"},
		"a directory": {func(t *testing.T) []byte {
			return archive(t, link(tar.TypeDir, "release-v1.12.1-"+arch+"/testvmm-v1.12.1-"+arch+"/", ""))
		}, "holds no release-v"},
		"other architecture": {func(t *testing.T) []byte {
			return archive(t, inRelease("testvmm", "1.12.1", other, nil))
		}, "it is a release for " + other + ", and this host is " + arch},
		"empty program": {func(t *testing.T) []byte { return archive(t, inRelease("testvmm", "1.12.1", arch, nil)) }, "its testvmm is no program"},
		"odd companion": {func(t *testing.T) []byte {
			return archive(t, vmm(t), inRelease("jailer", "1.12.1", arch, []byte("#!/bin/sh\n")))
		}, "its jailer is no program"},
		"bomb":               {bomb, "the archive unpacks to more than 2 MiB"},
		"bomb in the header": {headerBomb, "the archive unpacks to more than 2 MiB"},
		"endless entries": {func(t *testing.T) []byte {
			var many []entry
			for i := range 1001 {
				many = append(many, file(fmt.Sprint("x", i), nil))
			}
			return archive(t, many...)
		}, "more than 1000 entries"},
		"cut off":            {func(t *testing.T) []byte { b := archive(t, vmm(t)); return b[:len(b)/2] }, "unexpected EOF"},
		"no gzip behind":     {func(*testing.T) []byte { return []byte("\x1f\x8bnot at all") }, "the archive is damaged"},
		"no tar in the gzip": {noTar, "the archive"},
		"plain tar":          {func(*testing.T) []byte { return make([]byte, 10240) }, "neither a release archive (.tgz) nor a program"},
		"script":             {func(*testing.T) []byte { return []byte("#!/bin/sh\necho Testvmm v1.12.1\n") }, "neither a release archive"},
		"empty":              {func(*testing.T) []byte { return nil }, "neither a release archive"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			body := tc.body(t)
			r.refused(r.begin(r.given(body), body), fault.Precondition, tc.want)
			r.empty()
		})
	}
}

// refused waits for an operation that must fail so.
func (r *rig) refused(rec operation.Record, kind fault.Kind, want string) {
	r.t.Helper()
	rec = r.end(rec)
	if rec.State != operation.Failed || rec.Error.Kind != kind || !strings.Contains(rec.Error.Message, want) {
		r.t.Errorf("%s: %+v; want %q", rec.State, rec.Error, want)
	}
}

// bomb is a file of nothing that is small until it is unpacked.
func bomb(t *testing.T) []byte { return archive(t, file("zeros", make([]byte, 8<<20))) }

// headerBomb is an archive whose one header claims to be endless.
func headerBomb(t *testing.T) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "release-v1.12.1-" + arch + "/testvmm-v1.12.1-" + arch, Typeflag: tar.TypeReg, Size: 1 << 60}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err == nil {
		t.Fatal("the archive is whole")
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func noTar(t *testing.T) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(strings.Repeat("no tar ", 1000))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestProgramsThatDoNotRunHere(t *testing.T) {
	patched := func(change func(elf []byte)) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			b := program(t, "1.12.1")
			change(b)
			return b
		}
	}
	for name, tc := range map[string]struct {
		body func(*testing.T) []byte
		want string
	}{
		"other architecture": {patched(func(b []byte) { binary.LittleEndian.PutUint16(b[18:], 243) }), "its testvmm is a program for EM_RISCV, this host needs"},
		"32 bits":            {patched(func(b []byte) { b[4] = 1 }), "its testvmm is no 64-bit program"},
		"big endian":         {patched(func(b []byte) { b[5] = 2 }), "its testvmm is no 64-bit program"},
		"object file":        {patched(func(b []byte) { b[16] = 1 }), "its testvmm is no program but ET_REL"},
		"core":               {patched(func(b []byte) { b[16] = 4 }), "its testvmm is no program but ET_CORE"},
		"header alone":       {func(t *testing.T) []byte { return program(t, "")[:64] }, "exec format error"},
		"too short":          {func(t *testing.T) []byte { return program(t, "")[:10] }, "its testvmm is no program"},
		"too old":            {func(t *testing.T) []byte { return program(t, "0.25.2") }, "testvmm 0.25.2 is too old"},
		"another program":    {func(t *testing.T) []byte { return program(t, "a b") }, "it says"},
		"version with ..":    {func(t *testing.T) []byte { return program(t, "../../x") }, "is no version"},
		"it hangs":           {func(t *testing.T) []byte { return program(t, "hangs") }, "it does not tell its version within 300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.close()
			if name == "it hangs" {
				r.cfg.VersionTime = 300 * time.Millisecond
			}
			r.open()
			body := tc.body(t)
			r.refused(r.begin(r.given(body), body), fault.Precondition, tc.want)
			r.empty()
		})
	}
}

// What is refused leaves the one that is installed as it is.
func TestRefusalKeepsTheInstalled(t *testing.T) {
	r := newRig(t)
	r.install(release(t, "1.12.1"))
	before := r.files()
	body := program(t, "0.1")
	r.refused(r.begin(r.given(body), body), fault.Precondition, "too old")
	if got := r.files(); got != before {
		t.Errorf("there are %s, were %s", got, before)
	}
}

// The checksum is compared before anything is looked into.
func TestWrongChecksum(t *testing.T) {
	r := newRig(t)
	rec := r.beginSum(r.given(archive(t, file("../x", nil))), strings.Repeat("0", 64))
	r.refused(rec, fault.Precondition, "its SHA-256 sum is ")
	for _, s := range r.end(rec).Steps {
		if s.Name == "unpack it" && s.State != operation.StepPending {
			t.Errorf("it was unpacked: %+v", s)
		}
	}
	r.empty()
}

func TestFilesThatCannotBeGiven(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	r.refused(r.begin(filepath.Join(dir, "missing"), nil), fault.NotFound, "there is no file")
	r.refused(r.begin(dir, nil), fault.Precondition, "it is no regular file")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	r.refused(r.begin(pipe, nil), fault.Precondition, "it is no regular file")
	r.refused(r.begin("/dev/zero", nil), fault.Precondition, "it is no regular file")
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 4<<20+1); err != nil {
		t.Fatal(err)
	}
	r.refused(r.begin(large, nil), fault.Precondition, "it is larger than 4 MiB")
	r.empty()
}
