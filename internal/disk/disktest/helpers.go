package disktest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
)

// mark stands for what a guest writes.
var mark = []byte("written by the guest")

func create(t *testing.T, d disk.Driver, dir string, base disk.Base) disk.Root {
	t.Helper()
	root, err := d.Create(t.Context(), dir, base)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func resolve(dir string, d disk.Drive) string {
	if filepath.IsAbs(d.Path) {
		return d.Path
	}
	return filepath.Join(dir, d.Path)
}

// writable is the path of the drive that a guest's writes go to.
func writable(t *testing.T, dir string, root disk.Root) string {
	t.Helper()
	for _, d := range root.Drives {
		if !d.ReadOnly {
			return resolve(dir, d)
		}
	}
	t.Fatal("no drive is writable")
	return ""
}

func write(t *testing.T, dir string, root disk.Root) {
	t.Helper()
	if d := root.Drives[0]; d.Format == disk.FormatQCOW2 {
		if out := qemuIO(t, dir, d, "write -P "+markByte+" 1M 4k"); !strings.Contains(out, "wrote 4096/4096 bytes") {
			t.Fatal(out)
		}
		return
	}
	f, err := os.OpenFile(writable(t, dir, root), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(mark, 1<<20)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func written(t *testing.T, dir string, root disk.Root) bool {
	t.Helper()
	if d := root.Drives[0]; d.Format == disk.FormatQCOW2 {
		out := qemuIO(t, dir, d, "read -P "+markByte+" 1M 4k")
		if !strings.Contains(out, "read 4096/4096 bytes") {
			t.Fatal(out)
		}
		return !strings.Contains(out, "Pattern verification failed")
	}
	f, err := os.Open(writable(t, dir, root))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, len(mark))
	if _, err := f.ReadAt(got, 1<<20); err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(got, mark)
}

func digest(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return h.Sum(nil)
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
