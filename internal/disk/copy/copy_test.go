package copy

import (
	"errors"
	"os"
	"testing"

	"github.com/banger-vm/banger/internal/disk/disktest"
	"github.com/banger-vm/banger/internal/fault"
)

func TestConformance(t *testing.T) { disktest.Run(t, New()) }

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
