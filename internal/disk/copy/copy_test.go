package copy

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/disktest"
	"github.com/banger-vm/banger/internal/fault"
)

func TestConformance(t *testing.T) { disktest.Run(t, New()) }

// Whatever the holes, the copy reads the same and takes no more space.
func TestSparse(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Int64Range(1, 4<<20).Draw(rt, "size")
		from := file(rt, dir, "from")
		defer from.Close()
		if err := from.Truncate(size); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(0, 6).Draw(rt, "extents") {
			at := rapid.Int64Range(0, size-1).Draw(rt, "at")
			data := bytes.Repeat([]byte{7}, int(min(rapid.Int64Range(1, 70_000).Draw(rt, "len"), size-at)))
			if _, err := from.WriteAt(data, at); err != nil {
				rt.Fatal(err)
			}
		}
		to := file(rt, dir, "to")
		defer to.Close()
		if err := copySparse(t.Context(), to, from, size, func(int64, int64) {}); err != nil {
			rt.Fatal(err)
		}
		want, err := os.ReadFile(from.Name())
		got, err2 := os.ReadFile(to.Name())
		if err := errors.Join(err, err2); err != nil || !bytes.Equal(want, got) {
			rt.Fatal("the copy differs", err)
		}
		a, err := disk.FileUsage(from.Name())
		b, err2 := disk.FileUsage(to.Name())
		if err := errors.Join(err, err2); err != nil || b.UsedBytes > a.UsedBytes+64<<10 {
			rt.Fatalf("the copy takes %d, the original %d (%v)", b.UsedBytes, a.UsedBytes, err)
		}
	})
}

func file(t *rapid.T, dir, name string) *os.File {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A cancel in the middle stops the copy.
func TestCancelInTheMiddle(t *testing.T) {
	base := disktest.NewBase(t, 1<<20)
	from, err := os.Open(base.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(t.TempDir(), "to"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	ctx := &lateCancel{Context: t.Context(), after: 1}
	if err := copySparse(ctx, to, from, base.SizeBytes, func(int64, int64) {}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// lateCancel is cancelled after some looks at it.
type lateCancel struct {
	context.Context
	after int
}

func (c *lateCancel) Err() error {
	if c.after--; c.after < 0 {
		return context.Canceled
	}
	return nil
}

func TestChangedBase(t *testing.T) {
	base := disktest.NewBase(t, 1<<20)
	base.SizeBytes++
	if _, err := New().Create(t.Context(), t.TempDir(), base); err == nil {
		t.Fatal("copied an image that was changed")
	}
}

func TestNoSpace(t *testing.T) {
	if !disktest.Private(t) {
		return
	}
	dir := disktest.TinyFS(t, 1<<20)
	base := disktest.NewBase(t, 64<<20)
	f, err := os.OpenFile(base.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, 4<<20), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = New().Create(t.Context(), dir, base)
	if f := fault.From(err); f == nil || f.Kind != fault.Unavailable || f.Hint == "" {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
}

// A fresh copy is made beside the old one, which it then replaces at once.
func TestStaged(t *testing.T) {
	d, dir, base := New(), t.TempDir(), disktest.NewBase(t, 1<<20)
	if _, err := d.Create(t.Context(), dir, base); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, rootFile)
	write := func() {
		f, err := os.OpenFile(root, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("written"), 1000)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	written := func() bool {
		data, err := os.ReadFile(root)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(data, []byte("written"))
	}
	var last, total int64
	report := func(done, of int64) { last, total = done, of }
	write()
	for range 2 { // the second finds it whole
		if err := d.Stage(t.Context(), dir, base, report); err != nil || !written() {
			t.Fatal(err, written())
		}
	}
	if last != total {
		t.Errorf("it told of %d of %d bytes", last, total)
	}
	if err := d.Unstage(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Replace(dir); err != nil || !written() { // there is none: nothing is changed
		t.Fatal(err, written())
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Stage(canceled, dir, base, report); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := errors.Join(d.Stage(t.Context(), dir, base, report), d.Replace(dir), d.Replace(dir)); err != nil || written() {
		t.Fatal(err, written())
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Error(left, err)
	}
	if err := errors.Join(d.Stage(t.Context(), dir, base, report), d.Delete(t.Context(), dir)); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
}
