package workdisk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/fault"
)

func TestGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work.img")
	data := bytes.Repeat([]byte("home"), 1<<18)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Grow(path, 8<<30); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int64{8<<30 - 4096, 8<<30 + 512, 0, -1} {
		if err := Grow(path, size); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%d: %v", size, err)
		}
	}
	if u, err := disk.FileUsage(path); err != nil || u.ApparentBytes != 8<<30 || u.UsedBytes > 2<<20 {
		t.Errorf("%+v, %v", u, err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, len(data))
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("what it held changed: %v", err)
	}
	if err := Grow(path+"x", 8<<30); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	if err := Grow(t.TempDir(), 8<<30); err == nil {
		t.Error("a directory became larger")
	}
}
