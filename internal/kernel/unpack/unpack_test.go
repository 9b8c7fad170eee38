package unpack

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// text is what is packed: what repeats, code-like calls that the x86 filter
// changes, and noise.
func text() []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for range 4000 {
		b.WriteString("\xe8\x10\x20\x00\x00 a call \x0f\x84\x00\x01\x00\x00")
		b.WriteByte(byte(rnd.Uint32()))
	}
	return b.Bytes()
}

// run packs b with a program of the host, which the tests need.
func run(t testing.TB, b []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

func written(t testing.TB, b []byte, open func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var out bytes.Buffer
	w := open(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// packings are b in every form that there is, by programs of the host, which
// are what kernels are built with, and by Go's packages.
func packings(t testing.TB, b []byte) map[string][]byte {
	all := map[string][]byte{
		"xz, x86 filter, as a kernel's build": run(t, b, "xz", "--check=crc32", "--x86", "--lzma2=dict=32MiB"),
		"xz, as a module's":                   run(t, b, "xz", "--check=crc32", "--lzma2=dict=1MiB"),
		"xz, x86 filter, small":               run(t, b, "xz", "--check=crc32", "--x86", "--lzma2=dict=4KiB"),
		"xz -9":                               run(t, b, "xz", "-9"),
		"gzip":                                run(t, b, "gzip", "-n", "-9"),
		"zstd -19":                            run(t, b, "zstd", "-q", "-19", "-c"),
		"lz4 -l":                              run(t, b, "lz4", "-l", "-q", "-c"),
		"gzip by Go":                          written(t, b, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"zstd by Go": written(t, b, func(w io.Writer) io.WriteCloser {
			e, err := zstd.NewWriter(w)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}),
		"lz4 by Go": written(t, b, func(w io.Writer) io.WriteCloser {
			e := lz4.NewWriter(w)
			if err := e.Apply(lz4.LegacyOption(true)); err != nil {
				t.Fatal(err)
			}
			return e
		}),
	}
	for name, packed := range all {
		if packed == nil { // zstd and lz4 are on few hosts; Go's stand for them
			delete(all, name)
		}
	}
	for _, must := range []string{"xz, x86 filter, as a kernel's build", "gzip"} {
		if all[must] == nil {
			t.Fatalf("this host has no program for: %s", must)
		}
	}
	return all
}

func unpacked(b []byte, limit int64) ([]byte, error) {
	r, err := Open(bytes.NewReader(b), limit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestOpen(t *testing.T) {
	want := text()
	for name, packed := range packings(t, want) {
		t.Run(name, func(t *testing.T) {
			if got, err := unpacked(packed, int64(len(want))); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
			}
			if got, err := unpacked(packed, int64(len(want)-1)); !errors.Is(err, ErrTooLarge) || len(got) != len(want)-1 {
				t.Errorf("a byte too many: %d bytes, %v", len(got), err)
			}
			if _, err := unpacked(packed[:len(packed)/2], int64(len(want))); err == nil {
				t.Error("half of it was taken")
			}
		})
	}
}

func TestOpenNothing(t *testing.T) {
	for name, packed := range packings(t, nil) {
		if got, err := unpacked(packed, 0); err != nil || len(got) != 0 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "not known",
		"x":                    "not known",
		"\x1f":                 "not known",
		"hello":                "68 65 6c 6c 6f",
		"BZh91AY":              "bzip2",
		"\x5d\x00\x00\x80\x00": "LZMA",
		"\x89LZO\x00":          "LZO",
		"\x1f\x8b\x08":         "gzip: ",
		"\xfd7zXZ\x00\x00\x01": "XZ: ",
	} {
		if _, err := unpacked([]byte(in), 100); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// A few bytes that become very many are read no further than the limit, and
// hold no more memory than a window.
func TestBombs(t *testing.T) {
	const size = 4 << 20
	for name, packed := range packings(t, make([]byte, size)) {
		got, err := unpacked(packed, 1<<20)
		if !errors.Is(err, ErrTooLarge) || len(got) != 1<<20 {
			t.Errorf("%s, %d bytes: %d bytes, %v", name, len(packed), len(got), err)
		}
	}
}

// A dictionary beyond the bound is refused before it is made.
func TestHugeDictionary(t *testing.T) {
	for name, packed := range map[string][]byte{
		"xz":   run(t, text(), "xz", "--lzma2=dict=256MiB"),
		"zstd": {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x98, 0, 0, 0}, // a window of 512 MiB
	} {
		if _, err := unpacked(packed, 1<<30); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

// FuzzOpen: no input makes a decoder panic or give more than the limit.
func FuzzOpen(f *testing.F) {
	for _, packed := range packings(f, text()[:2000]) {
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, in []byte) { fuzz(t, in, "") })
}

func FuzzGzip(f *testing.F) { fuzzFormat(f, "gzip") }
func FuzzZstd(f *testing.F) { fuzzFormat(f, "Zstandard") }
func FuzzXZ(f *testing.F)   { fuzzFormat(f, "XZ") }
func FuzzLZ4(f *testing.F)  { fuzzFormat(f, "LZ4") }

// fuzzFormat fuzzes one decoder: what is behind the magic number.
func fuzzFormat(f *testing.F, name string) {
	for _, format := range formats {
		if format.name != name {
			continue
		}
		for _, packed := range packings(f, text()[:2000]) {
			if rest, ok := bytes.CutPrefix(packed, []byte(format.magic)); ok {
				f.Add(rest)
			}
		}
		f.Fuzz(func(t *testing.T, in []byte) { fuzz(t, in, format.magic) })
	}
}

func fuzz(t *testing.T, in []byte, magic string) {
	const limit = 64 << 10
	// A window that is not what takes the time.
	r, err := open(bytes.NewReader(append([]byte(magic), in...)), limit, 1<<20)
	if err != nil {
		return
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if len(got) > limit || errors.Is(err, ErrTooLarge) && len(got) != limit {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}
