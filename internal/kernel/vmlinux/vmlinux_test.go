package vmlinux

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/banger-vm/banger/internal/kernel/kerneltest"
)

// tinyELF is a kernel with a segment of n bytes.
func tinyELF(n int) []byte { return kerneltest.Vmlinux(n, kerneltest.Note) }

func packLZ4(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	if err := w.Apply(lz4.LegacyOption(true)); err != nil {
		t.Fatal(err)
	}
	return packed(t, &out, w, b)
}

func packZstd(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	return packed(t, &out, w, b)
}

func packGzip(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	return packed(t, &out, gzip.NewWriter(&out), b)[:out.Len()]
}

// packed is what w makes of b, with the size behind it.
func packed(t testing.TB, out *bytes.Buffer, w io.WriteCloser, b []byte) []byte {
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.AppendUint32(bytes.Clone(out.Bytes()), uint32(len(b)))
}

func packXZ(t testing.TB, b []byte) []byte {
	cmd := exec.Command("xz", "--check=crc32", "--x86", "--lzma2=dict=1MiB") // as a kernel's build, but for the window
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("xz: ", err)
	}
	return binary.LittleEndian.AppendUint32(out, uint32(len(b)))
}

func bzImage(payload []byte) []byte { return kerneltest.BzImage(payload) }

func unpacked(b []byte) ([]byte, error) {
	var out bytes.Buffer
	err := Extract(context.Background(), &out, bytes.NewReader(b), int64(len(b)))
	return out.Bytes(), err
}

func TestExtract(t *testing.T) {
	want := tinyELF(300_000)
	for name, in := range map[string][]byte{
		"lz4":  bzImage(packLZ4(t, want)),
		"zstd": bzImage(packZstd(t, want)),
		"gzip": bzImage(packGzip(t, want)),
		"xz":   bzImage(packXZ(t, want)),
		"elf":  want,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := unpacked(in)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes that differ from the %d packed", len(got), len(want))
			}
			if err := Check(bytes.NewReader(got), int64(len(got))); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestExtractRefuses(t *testing.T) {
	elf := tinyELF(100_000)
	good := bzImage(packZstd(t, elf))
	change := func(b []byte, at int, with ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], with)
		return b
	}
	sizeAt := len(good) - len(kerneltest.Behind) - 4
	for _, c := range []struct {
		name, want string
		in         []byte
	}{
		{"empty", "no kernel", nil},
		{"short", "no kernel", good[:100]},
		{"text", "neither an ELF nor a bzImage", bytes.Repeat([]byte("hello "), 200)},
		{"arm64", "for arm64", change(make([]byte, 4096), 56, []byte("ARMd")...)},
		{"arm64, with an EFI stub", "for arm64", change(change(make([]byte, 4096), 0, 'M', 'Z'), 56, []byte("ARMd")...)},
		{"RISC-V", "for RISC-V", change(make([]byte, 4096), 56, []byte("RSC\x05")...)},
		{"EFI zboot", "EFI zboot", []byte("MZ\x00\x00zimg\x00\x10")},
		{"32 bits", "for 32-bit x86", change(good, offLoadFlags, 0, 0)},
		{"old protocol", "too old", change(good, offVersion, 0x07, 0x02)},
		{"payload outside", "outside of the file", change(good, offPayload, 0xff, 0xff, 0xff, 0x7f)},
		{"payload too long", "outside of the file", change(good, offPayload+4, 0xff, 0xff, 0xff, 0xff)},
		{"truncated", "outside of the file", good[:len(good)-1000]},
		{"unknown packing", "packed with bzip2", bzImage([]byte("BZh91 and more\x00\x01\x00\x00"))},
		{"states less", "another size", change(good, sizeAt, 1, 0, 0, 0)},
		{"states more", "another size", change(good, sizeAt, 0xff, 0xff, 0xff, 0)},
		{"states far more", "too large", change(good, sizeAt, 0xff, 0xff, 0xff, 0xff)},
		{"damaged", "unpacking", change(good, (kerneltest.PayloadAt+sizeAt)/2, 0xaa, 0xbb, 0xcc, 0xdd)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := unpacked(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	good := tinyELF(1000)
	arm := bytes.Clone(good)
	arm[18] = 183
	noLoad := bytes.Clone(good)
	noLoad[64] = 4
	bits32 := bytes.Clone(good)
	bits32[4] = 1
	for _, c := range []struct {
		name, want string
		in         []byte
	}{
		{"truncated", "outside of the file", good[:500]},
		{"arm", "x86-64 is needed", arm},
		{"32 bits", "no whole ELF", bits32},
		{"nothing to load", "nothing to load", noLoad},
		{"no ELF", "no whole ELF", []byte("#!/bin/sh")},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Check(bytes.NewReader(c.in), int64(len(c.in)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	long := kerneltest.BzImage([]byte("payload!"))
	copy(long[0x300:], strings.Repeat("6", 100)+" ")
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"bzImage":                  {kerneltest.BzImage([]byte("payload!")), kerneltest.Release},
		"ELF":                      {tinyELF(4000), kerneltest.Release},
		"ELF, over a chunk's edge": {slices.Concat(tinyELF(10), bytes.Repeat([]byte{1}, 1<<20-300), []byte("Linux version 6.9-far (x)\n")), "6.9-far"},
		"ELF without one":          {slices.Concat(tinyELF(10), make([]byte, 3<<20)), ""},
		"too long":                 {long, ""},
	} {
		got, err := Release(bytes.NewReader(c.in), int64(len(c.in)))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzExtract: no input makes it panic, write without bound, or accept what
// is not of the stated size.
func FuzzExtract(f *testing.F) {
	elf := tinyELF(5000)
	f.Add(elf)
	f.Add(bzImage(packLZ4(f, elf)))
	f.Add(bzImage(packZstd(f, elf)))
	f.Add(bzImage(packGzip(f, elf)))
	f.Add(bzImage(packXZ(f, elf)))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out countWriter
		if err := Extract(t.Context(), &out, bytes.NewReader(in), int64(len(in))); err == nil && out > maxVmlinux {
			t.Fatalf("%d bytes were written", out)
		}
		_ = Check(bytes.NewReader(in), int64(len(in))) // must not panic
		_, _ = HasPVH(bytes.NewReader(in))
		if release, err := Release(bytes.NewReader(in), int64(len(in))); err == nil && filepath.Base(release) != release {
			t.Fatalf("the version %q is a path", release)
		}
	})
}

type countWriter int64

func (w *countWriter) Write(p []byte) (int, error) {
	*w += countWriter(len(p))
	return len(p), nil
}
