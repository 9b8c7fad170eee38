// Package disktest is what every disk driver must do, and what its tests need
// of a file system.
package disktest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/test/matrix/result"
)

// NewBase makes an image of that size with some data at its start, in its
// middle and at its end.
func NewBase(t testing.TB, sizeBytes int64) disk.Base {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "base.img"))
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("banger's base! "), 300)
	err = f.Truncate(sizeBytes)
	for _, at := range []int64{0, sizeBytes / 2, sizeBytes - int64(len(data))} {
		_, werr := f.WriteAt(data, at)
		err = errors.Join(err, werr)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return disk.Base{Path: f.Name(), SizeBytes: sizeBytes}
}

// Run is the conformance suite.
func Run(t *testing.T, d disk.Driver) {
	for name, test := range map[string]func(*testing.T, disk.Driver){
		"Create":              testCreate,
		"CreateAgainKeepsAll": testCreateAgain,
		"OpenWithoutCreate":   testOpenMissing,
		"Cancelled":           testCancelled,
		"LeftOverFromACrash":  testLeftOver,
		"MissingBase":         testOtherBase,
		"Reset":               testReset,
		"Delete":              testDelete,
	} {
		t.Run(name, func(t *testing.T) {
			result.Tell(t, "", d.Name())
			test(t, d)
		})
	}
}

func testCreate(t *testing.T, d disk.Driver) {
	dir, base := t.TempDir(), NewBase(t, 40<<20)
	before := digest(t, base.Path)
	if err := d.Check(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if names := list(t, dir); len(names) != 0 {
		t.Errorf("Check left %v", names)
	}
	root := create(t, d, dir, base)
	for i, drive := range root.Drives {
		checkDrive(t, dir, base, drive)
		if want := []disk.Slot{disk.SlotBase, disk.SlotLayer}[i]; drive.Slot != want {
			t.Errorf("drive %d is in %s, want %s", i, drive.Slot, want)
		}
	}
	if n := map[disk.RootMode]int{disk.RootCOW: 2, disk.RootRaw: 1}[root.Mode]; n != len(root.Drives) {
		t.Errorf("mode %q with %d drives", root.Mode, len(root.Drives))
	}
	if root.Mode == disk.RootRaw {
		path := resolve(dir, root.Drives[0])
		if root.Drives[0].Format != disk.FormatRaw {
			path = flat(t, dir, root.Drives[0])
		}
		if !bytes.Equal(before, digest(t, path)) {
			t.Error("the root is not what the base is")
		}
	}
	if f, ok := d.(disk.Formatted); ok != (root.Drives[0].Format != disk.FormatRaw) || ok && f.Format() != root.Drives[0].Format {
		t.Errorf("the driver does not tell its format %q", root.Drives[0].Format)
	}
	if !bytes.Equal(before, digest(t, base.Path)) {
		t.Error("the base was changed")
	}
	usage, err := d.Usage(dir)
	if err != nil || usage.ApparentBytes < base.SizeBytes || usage.UsedBytes > 1<<20 {
		t.Errorf("usage %+v (%v): want all of the base's size, and sparse", usage, err)
	}
}

func checkDrive(t *testing.T, dir string, base disk.Base, drive disk.Drive) {
	t.Helper()
	if drive.Path == base.Path {
		if !drive.ReadOnly {
			t.Error("the base is writable")
		}
		return
	}
	if !filepath.IsLocal(drive.Path) {
		t.Errorf("%s is not in the VM's directory", drive.Path)
	}
	if drive.Format == disk.FormatRaw && drive.Backing != "" || drive.Backing != "" && drive.Backing != base.Path {
		t.Errorf("drive %s stands on %q", drive.Slot, drive.Backing)
	}
	info, err := os.Stat(resolve(dir, drive))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%s has mode %v: others may read it", drive.Path, info.Mode())
	}
	if info.Size()%512 != 0 {
		t.Errorf("%s has %d bytes: no whole sectors", drive.Path, info.Size())
	}
}

func testCreateAgain(t *testing.T, d disk.Driver) {
	dir, base := t.TempDir(), NewBase(t, 8<<20)
	root := create(t, d, dir, base)
	write(t, dir, root)
	again := create(t, d, dir, base)
	if !reflect.DeepEqual(root, again) || !written(t, dir, root) {
		t.Error("a second Create lost what was written")
	}
	opened, err := d.Open(dir, base)
	if err != nil || !reflect.DeepEqual(root, opened) {
		t.Errorf("Open: %+v, %v; Create said %+v", opened, err, root)
	}
}

func testOpenMissing(t *testing.T, d disk.Driver) {
	if _, err := d.Open(t.TempDir(), NewBase(t, 8<<20)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
}

func testCancelled(t *testing.T, d disk.Driver) {
	dir, base := t.TempDir(), NewBase(t, 8<<20)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Create(ctx, dir, base); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want a cancel", err)
	}
	if names := list(t, dir); len(names) != 0 {
		t.Errorf("a cancelled Create left %v", names)
	}
	create(t, d, dir, base)
}

// What a crash leaves under any name but the final one is never taken for whole.
func testLeftOver(t *testing.T, d disk.Driver) {
	dir, base := t.TempDir(), NewBase(t, 8<<20)
	create(t, d, dir, base)
	for _, name := range list(t, dir) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Rename(path, path+".tmp"), os.Truncate(path+".tmp", 12345)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Open(dir, base); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open took a half root: %v", err)
	}
	root := create(t, d, dir, base)
	for _, drive := range root.Drives {
		checkDrive(t, dir, base, drive)
	}
	if err := d.Delete(t.Context(), dir); err != nil || len(list(t, dir)) != 0 {
		t.Errorf("left: %v (%v)", list(t, dir), err)
	}
}

func testOtherBase(t *testing.T, d disk.Driver) {
	dir := t.TempDir()
	create(t, d, dir, NewBase(t, 8<<20))
	if _, err := d.Open(dir, NewBase(t, 80<<20)); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a root was opened on another base: %v", err)
	}
}

func testReset(t *testing.T, d disk.Driver) {
	dir, base := t.TempDir(), NewBase(t, 8<<20)
	root := create(t, d, dir, base)
	write(t, dir, root)
	if err := d.Reset(t.Context(), dir, base); err != nil {
		t.Fatal(err)
	}
	if written(t, dir, root) {
		t.Error("Reset kept what was written")
	}
}

func testDelete(t *testing.T, d disk.Driver) {
	dir, base := t.TempDir(), NewBase(t, 8<<20)
	create(t, d, dir, base)
	for range 2 {
		if err := d.Delete(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	if names := list(t, dir); len(names) != 0 {
		t.Errorf("Delete left %v", names)
	}
	if _, err := os.Stat(base.Path); err != nil {
		t.Errorf("Delete removed the base: %v", err)
	}
}
