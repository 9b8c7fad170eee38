package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
