package execs

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/guestd/session"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"0123456789abcdef","start":{"argv":["true"],"env":["A=b"]},"stdout_offset":7}`))
	f.Add([]byte(`{"id":"0123456789abcdef","start":{"argv":["a\u0000b"]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		req, fail := decode(line)
		if fail != nil {
			if fail.Kind != "invalid" || fail.Message == "" {
				t.Errorf("the refusal is %+v", fail)
			}
			return
		}
		if filepath.Base(req.ID) != req.ID || len(req.ID) < session.MinID {
			t.Errorf("the ID %q was taken", req.ID)
		}
	})
}

// A log returns the bytes that were written, or says that they are gone.
func TestOutputLog(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		const size = 64
		l, err := newOutputLog(dir, size)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		var all []byte
		quit := make(chan struct{})
		close(quit)
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				p := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")
				if n, err := l.Write(p); n != len(p) || err != nil {
					t.Fatalf("wrote %d, %v", n, err)
				}
				all = append(all, p...)
			},
			"read": func(t *rapid.T) {
				want := rapid.IntRange(0, len(all)).Draw(t, "offset")
				off, err := l.resume(uint64(want))
				if err != nil {
					t.Fatal(err)
				}
				if off != uint64(max(want, len(all)-size)) {
					t.Fatalf("resumes at %d of %d for %d", off, len(all), want)
				}
				p := make([]byte, 100)
				n, err := l.read(p, off, quit)
				if off == uint64(len(all)) {
					if !errors.Is(err, errLogQuit) {
						t.Fatalf("read %d at the end, %v", n, err)
					}
					return
				}
				if err != nil || !bytes.Equal(p[:n], all[off:off+uint64(n)]) || n == 0 {
					t.Fatalf("read %d, %v", n, err)
				}
			},
		})
		if _, err := l.resume(uint64(len(all) + 1)); err == nil {
			t.Fatal("it resumes after its end")
		}
	})
}

// A disk that takes nothing costs output, not the command.
func TestOutputLogOnAFullDisk(t *testing.T) {
	l, err := newOutputLog(t.TempDir(), 64)
	if err != nil {
		t.Fatal(err)
	}
	l.file.Close()
	if n, err := l.Write(make([]byte, 100)); n != 100 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if off, err := l.resume(0); off != 100 || err != nil {
		t.Errorf("it goes on at %d, %v", off, err)
	}
}
