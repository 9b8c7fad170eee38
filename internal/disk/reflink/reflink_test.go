package reflink

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/disktest"
	"github.com/banger-vm/banger/internal/fault"
)

func TestXFS(t *testing.T)   { testOn(t, "xfs", "mkfs.xfs", 512<<20) }
func TestBtrfs(t *testing.T) { testOn(t, "btrfs", "mkfs.btrfs", 512<<20) }

func testOn(t *testing.T, kind, mkfs string, size int64) {
	disktest.NeedLoop(t, mkfs)
	if !disktest.Private(t) {
		return
	}
	dir := disktest.FormattedFS(t, kind, mkfs, size)
	t.Setenv("TMPDIR", dir) // what the suite makes is made there
	t.Run("Conformance", func(t *testing.T) { disktest.Run(t, New()) })
	t.Run("Shares", testShares)
	t.Run("TwoFileSystems", func(t *testing.T) {
		base := disktest.NewBase(t, 8<<20)
		other := disktest.TinyFS(t, 1<<20)
		_, err := New().Create(t.Context(), other, base)
		if fault.KindOf(err) != fault.Precondition {
			t.Error(err)
		}
		if left, err := os.ReadDir(other); err != nil || len(left) != 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

// A clone takes no room of its own: more of them than there is room for.
func testShares(t *testing.T) {
	base := disktest.NewBase(t, 200<<20)
	f, err := os.OpenFile(base.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 100<<20), 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		dir := t.TempDir()
		if _, err := New().Create(t.Context(), dir, base); err != nil {
			t.Fatal(err)
		}
		if u, err := New().Usage(dir); err != nil || u.ApparentBytes != 200<<20 {
			t.Fatalf("%+v, %v", u, err)
		}
	}
}

// Where blocks are not shared that is said, and how to go on; nothing is left.
func TestOtherFileSystems(t *testing.T) {
	if !disktest.Private(t) {
		return
	}
	dir := disktest.TinyFS(t, 1<<20)
	base := disk.Base{Path: filepath.Join(dir, "base.img"), SizeBytes: 4096}
	if err := os.WriteFile(base.Path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	err := New().Check(t.Context(), dir)
	if f := fault.From(err); f == nil || f.Kind != fault.Precondition || f.Hint == "" {
		t.Error(err)
	}
	if _, err := New().Create(t.Context(), dir, base); fault.KindOf(err) != fault.Precondition {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}
