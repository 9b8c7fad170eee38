package kernel

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// tinyELF is a 64-bit x86 ELF with one segment of n bytes.
func tinyELF(n int) []byte {
	const headers = 64 + 56
	b := make([]byte, headers+n)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 2)  // executable
	le.PutUint16(b[18:], 62) // x86-64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64) // program headers
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	le.PutUint16(b[58:], 64)
	le.PutUint32(b[64:], 1) // PT_LOAD
	le.PutUint64(b[64+8:], headers)
	le.PutUint64(b[64+32:], uint64(n))
	le.PutUint64(b[64+40:], uint64(n))
	for i := range n {
		b[headers+i] = byte(i * i)
	}
	return b
}

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

// bzImage puts a payload behind two set-up sectors.
func bzImage(payload []byte) []byte {
	const sects, offset = 2, 100
	b := make([]byte, (sects+1)*sectorSize+offset)
	b[offSetupSects] = sects
	copy(b[offMagic:], "HdrS")
	binary.LittleEndian.PutUint16(b[offVersion:], 0x020f)
	binary.LittleEndian.PutUint32(b[offPayload:], offset)
	binary.LittleEndian.PutUint32(b[offPayload+4:], uint32(len(payload)))
	return append(append(b, payload...), "behind it"...)
}

func extract(b []byte) ([]byte, error) {
	var out bytes.Buffer
	err := Extract(&out, bytes.NewReader(b), int64(len(b)))
	return out.Bytes(), err
}

func TestExtract(t *testing.T) {
	want := tinyELF(300_000)
	for name, in := range map[string][]byte{
		"lz4":  bzImage(packLZ4(t, want)),
		"zstd": bzImage(packZstd(t, want)),
		"gzip": bzImage(packGzip(t, want)),
		"elf":  want,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := extract(in)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes that differ from the %d packed", len(got), len(want))
			}
			if err := CheckELF(bytes.NewReader(got), int64(len(got))); err != nil {
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
	sizeAt := len(good) - len("behind it") - 4
	for _, c := range []struct {
		name, want string
		in         []byte
	}{
		{"empty", "no kernel", nil},
		{"short", "no kernel", good[:100]},
		{"text", "neither an ELF nor a bzImage", bytes.Repeat([]byte("hello "), 200)},
		{"old protocol", "too old", change(good, offVersion, 0x07, 0x02)},
		{"payload outside", "outside of the file", change(good, offPayload, 0xff, 0xff, 0xff, 0x7f)},
		{"payload too long", "outside of the file", change(good, offPayload+4, 0xff, 0xff, 0xff, 0xff)},
		{"truncated", "outside of the file", good[:len(good)-1000]},
		{"unknown packing", "does not know", bzImage([]byte("\xfd7zXZ\x00 and more\x00\x00\x00\x00"))},
		{"states less", "another size", change(good, sizeAt, 1, 0, 0, 0)},
		{"states more", "another size", change(good, sizeAt, 0xff, 0xff, 0xff, 0)},
		{"states far more", "too large", change(good, sizeAt, 0xff, 0xff, 0xff, 0xff)},
		{"damaged", "unpacking", change(good, (3*sectorSize+100+sizeAt)/2, 0xaa, 0xbb, 0xcc, 0xdd)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := extract(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestCheckELFRefuses(t *testing.T) {
	good := tinyELF(1000)
	arm := bytes.Clone(good)
	arm[18] = 183
	noLoad := bytes.Clone(good)
	noLoad[64] = 4
	for _, c := range []struct {
		name, want string
		in         []byte
	}{
		{"truncated", "outside of the file", good[:500]},
		{"arm", "x86-64 is needed", arm},
		{"nothing to load", "nothing to load", noLoad},
		{"no ELF", "no whole ELF", []byte("#!/bin/sh")},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckELF(bytes.NewReader(c.in), int64(len(c.in)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
		})
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
	f.Fuzz(func(t *testing.T, in []byte) {
		var out countWriter
		if err := Extract(&out, bytes.NewReader(in), int64(len(in))); err == nil && out > maxVmlinux {
			t.Fatalf("%d bytes were written", out)
		}
		_ = CheckELF(bytes.NewReader(in), int64(len(in))) // must not panic
	})
}

type countWriter int64

func (w *countWriter) Write(p []byte) (int, error) {
	*w += countWriter(len(p))
	return len(p), nil
}
