package sparse

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
)

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
		if err := Copy(t.Context(), to, from, size, nil); err != nil {
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
	if err := Copy(ctx, to, from, base.SizeBytes, nil); !errors.Is(err, context.Canceled) {
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

// A file that is removed while it is copied is copied whole: it is open.
func TestCopyOfARemovedFile(t *testing.T) {
	base := disktest.NewBase(t, 1<<20)
	want, err := os.ReadFile(base.Path)
	if err != nil {
		t.Fatal(err)
	}
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
	if err := os.Remove(base.Path); err != nil {
		t.Fatal(err)
	}
	if err := Copy(t.Context(), to, from, base.SizeBytes, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to.Name()); err != nil || !bytes.Equal(want, got) {
		t.Fatal("the copy differs", err)
	}
}
