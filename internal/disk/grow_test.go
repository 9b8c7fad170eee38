package disk

import (
	"os"
	"path/filepath"
	"testing"
)

func TestGrow(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "work.img")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{1 << 30, 1 << 20} { // it never shrinks
		if err := Grow(path, want); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() != 1<<30 {
			t.Fatal(info.Size(), err)
		}
	}
	if u, err := FileUsage(path); err != nil || u.UsedBytes > 1<<20 {
		t.Errorf("it takes %d bytes, %v", u.UsedBytes, err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	link := filepath.Join(dir, "link")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{link, dir, filepath.Join(dir, "none")} {
		if err := Grow(bad, 1<<20); err == nil {
			t.Errorf("%s was made larger", bad)
		}
	}
	if info, err := os.Stat(outside); err != nil || info.Size() != 0 {
		t.Errorf("a link was followed: %d, %v", info.Size(), err)
	}
}
