package execs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
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
		if filepath.Base(req.ID) != req.ID || len(req.ID) < minID {
			t.Errorf("the ID %q was taken", req.ID)
		}
	})
}

func FuzzUsers(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000::/home/dev:\n"), []byte("sudo:x:27:dev\n"))
	f.Add([]byte(":::::::\nx:x:-1:99999999999:::\n"), []byte(":::,,,\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, passwd, group []byte) {
		u := newUsers(dir)
		u.passwd = &cachedFile{path: write(t, dir, "passwd", passwd)}
		u.group = &cachedFile{path: write(t, dir, "group", group)}
		for _, who := range []string{"root", "dev", "0", ""} {
			found, fail := u.lookup(who)
			if (found == nil) == (fail == nil) {
				t.Fatalf("%q: %v and %v", who, found, fail)
			}
			if found != nil && (found.home == "" || found.shell == "" || len(found.groups) == 0) {
				t.Errorf("%q is %+v", who, found)
			}
		}
	})
}

func write(t *testing.T, dir, name string, data []byte) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
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
