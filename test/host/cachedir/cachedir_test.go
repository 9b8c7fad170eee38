package cachedir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLockWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "lock")
	release, err := Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*lockPoll)
	defer cancel()
	if _, err := Lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lock was given twice: %v", err)
	}
	release()
	again, err := Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// A directory whose process was killed is removed, once it is not young; one
// whose process lives is not.
func TestMakeSweeps(t *testing.T) {
	parent := t.TempDir()
	old := time.Now().Add(-2 * young)
	held, release, err := Make(parent)
	if err != nil {
		t.Fatal(err)
	}
	left, fresh := filepath.Join(parent, "left"), filepath.Join(parent, "fresh")
	for _, dir := range []string{left, fresh} {
		if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{held, left} {
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	other, releaseOther, err := Make(parent)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{held: true, fresh: true, other: true, left: false} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v, want it to be there: %v", filepath.Base(dir), err, want)
		}
	}
	if err := errors.Join(release(), releaseOther()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(held); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a released directory: %v", err)
	}
}

func TestDropUnused(t *testing.T) {
	dir := t.TempDir()
	if err := DropUnused(filepath.Join(dir, "none"), time.Hour); err != nil {
		t.Error(err)
	}
	used, unused := filepath.Join(dir, "used"), filepath.Join(dir, "unused")
	old := time.Now().Add(-2 * time.Hour)
	for _, d := range []string{used, unused} {
		if err := errors.Join(os.Mkdir(d, 0o700), os.Chtimes(d, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(Touch(used), DropUnused(dir, time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(used); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(unused); err == nil {
		t.Error("an unused entry is left")
	}
}
