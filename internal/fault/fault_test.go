package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

func TestKindOf(t *testing.T) {
	busy := New(Busy, "Wait.", "in use")
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{nil, ""},
		{errors.New("x"), Internal},
		{busy, Busy},
		{fmt.Errorf("making it: %w", busy), Busy},
		{errors.Join(errors.New("x"), busy), Busy},
		{fmt.Errorf("x: %w", context.Canceled), Canceled},
		{context.DeadlineExceeded, Deadline},
		{&fs.PathError{Op: "write", Path: "a", Err: syscall.ENOSPC}, Unavailable},
		{fmt.Errorf("x: %w", syscall.EDQUOT), Unavailable},
		{New(Invalid, "", "stopped: %w", context.Canceled), Invalid}, // the fault speaks first
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestNewWraps(t *testing.T) {
	err := New(NotFound, "Look elsewhere.", "no file %s: %w", "a", fs.ErrNotExist)
	if err.Error() != "no file a: file does not exist" || !errors.Is(err, fs.ErrNotExist) || err.Hint != "Look elsewhere." {
		t.Fatalf("%+v", err)
	}
}

// From keeps what is around a fault in the sentence, and what is in it.
func TestFrom(t *testing.T) {
	in := New(Busy, "Wait.", "in use")
	in.Operation = "op1"
	out := From(fmt.Errorf("starting dev: %w", in))
	if out.Kind != Busy || out.Message != "starting dev: in use" || out.Hint != "Wait." || out.Operation != "op1" || !errors.Is(out, in) {
		t.Fatalf("%+v", out)
	}
	if plain := From(errors.New("x")); plain.Kind != Internal || plain.Message != "x" {
		t.Fatalf("%+v", plain)
	}
	if From(nil) != nil {
		t.Fatal("a fault out of nothing")
	}
}

// Whoever meets a full disk, the user learns what to do.
func TestFullDisk(t *testing.T) {
	err := From(fmt.Errorf("copying: %w", &fs.PathError{Op: "write", Path: "a", Err: syscall.ENOSPC}))
	if err.Kind != Unavailable || err.Hint == "" || err.Message != "copying: write a: no space left on device" {
		t.Errorf("%+v", err)
	}
	own := New(Precondition, "Make room.", "the image is too large: %w", syscall.ENOSPC)
	if err := From(own); err.Kind != Precondition || err.Hint != "Make room." {
		t.Errorf("a fault of its own: %+v", err)
	}
}

func TestExcept(t *testing.T) {
	gone := New(NotFound, "", "gone")
	if Except(fmt.Errorf("looking: %w", gone), NotFound) != nil || Except(nil, NotFound) != nil || Except(gone, Busy) == nil {
		t.Error("another kind counts, or this one does not")
	}
}
