package copy

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
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

// A fresh copy is made beside the old one, which it then replaces at once.
func TestStaged(t *testing.T) {
	d, dir, base := New(), t.TempDir(), disktest.NewBase(t, 1<<20)
	if _, err := d.Create(t.Context(), dir, base); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root.img")
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
